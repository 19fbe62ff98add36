//! Imports in `src` go down the layers only, and no files import each other in a cycle. Reads the `use` lines that name
//! this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each layer, and the layers that it is allowed to import.
const LAYERS: &[(&str, &str)] = &[
    (
        "server",
        "cluster http connection chat outbound net config metrics",
    ),
    ("cluster", "chat protocol config text metrics"),
    ("http", "chat protocol net config text"),
    ("connection", "chat protocol outbound net websocket config"),
    (
        "chat",
        "protocol outbound net websocket config text metrics",
    ),
    ("protocol", "websocket text"),
    ("outbound", "net websocket config"),
    ("net", "config text"),
    ("websocket", "config text"),
    ("config", "text"),
    ("text", ""),
    ("metrics", ""),
];

/// Returns the modules of the library by their paths, such as `chat::room`, each with its code without unit tests.
fn modules() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let src = folders[0].clone();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder is readable") {
            let path = entry.expect("the folder is readable").path();
            let name = path.strip_prefix(&src).expect("it is in src");
            let name = name.with_extension("").to_string_lossy().replace('/', "::");
            let is_library = !["bin", "docs", "lib", "tutorial"].contains(&name.as_str());
            if path.is_dir() && is_library {
                folders.push(path);
            } else if path.extension().is_some_and(|rs| rs == "rs") && is_library {
                let code = fs::read_to_string(&path).expect("the file is readable");
                let code = code.split("#[cfg(test)]").next().unwrap_or_default();
                let name = name.strip_suffix("::mod").unwrap_or(&name);
                modules.insert(name.to_owned(), code.to_owned());
            }
        }
    }
    modules.retain(|name, _| !name.ends_with("tests") && !name.ends_with("model"));
    modules
}

/// Returns the paths that a module's `use` lines name, without `crate::`.
fn imports(module: &str, code: &str) -> Vec<String> {
    let is_folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("src/{}/mod.rs", module.replace("::", "/")))
        .exists();
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let here = if is_folder { module } else { parent };
    let mut imports = Vec::new();
    for line in code.split("\nuse ").skip(1) {
        let line = line.split(';').next().unwrap_or_default();
        let (root, rest) = line.split_once("::").unwrap_or((line, ""));
        let base = match root {
            "crate" => String::new(),
            "self" => format!("{module}::"),
            "super" if is_folder => format!("{parent}::"),
            "super" => format!("{here}::"),
            _ => continue,
        };
        let (prefix, names) = rest.split_once('{').unwrap_or(("", rest));
        for name in names.trim_end_matches(['}', '\n']).split(',') {
            imports.push(format!("{base}{prefix}{}", name.trim()));
        }
    }
    imports
}

/// Returns the module that defines the item at a path: the longest prefix that is one.
fn defining<'a>(modules: &'a BTreeMap<String, String>, path: &str) -> Option<&'a str> {
    let mut path = path;
    loop {
        if let Some((module, _)) = modules.get_key_value(path) {
            return Some(module);
        }
        path = path.rsplit_once("::")?.0;
    }
}

fn edges(modules: &BTreeMap<String, String>) -> BTreeSet<(&str, &str)> {
    let mut edges = BTreeSet::new();
    for (module, code) in modules {
        for path in imports(module, code) {
            let imported = defining(modules, &path);
            edges.extend(
                imported
                    .filter(|to| to != module)
                    .map(|to| (module.as_str(), to)),
            );
        }
    }
    assert!(edges.len() > 50, "the use lines are read: {edges:?}");
    edges
}

#[test]
fn imports_go_down_the_layers_only() {
    let modules = modules();
    for (from, to) in edges(&modules) {
        let layer_of = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
        let (upper, lower) = (layer_of(from), layer_of(to));
        let allowed = LAYERS.iter().find(|(name, _)| *name == upper);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{from} is in no layer"));
        let down = upper == lower || allowed.split(' ').any(|name| name == lower);
        assert!(down, "{from} imports {to}");
    }
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    let modules = modules();
    let mut edges = edges(&modules);
    // Files that import no remaining file are removed until only cycles are left.
    loop {
        let importing: BTreeSet<&str> = edges.iter().map(|(from, _)| *from).collect();
        let before = edges.len();
        edges.retain(|(_, to)| importing.contains(to));
        if edges.len() == before {
            break;
        }
    }
    assert!(edges.is_empty(), "{edges:#?}");
}
