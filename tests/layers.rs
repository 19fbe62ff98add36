//! Imports in `src` go down the layers only, and no files import each other in a cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each layer, and the layers that it is allowed to import.
const LAYERS: [(&str, &str); 12] = [
    (
        "server",
        "cluster http connection chat protocol outbound net websocket config text metrics",
    ),
    ("cluster", "chat protocol config text metrics"),
    (
        "http",
        "chat protocol outbound net websocket config text metrics",
    ),
    (
        "connection",
        "chat protocol outbound net websocket config text metrics",
    ),
    (
        "chat",
        "protocol outbound net websocket config text metrics",
    ),
    ("protocol", "websocket config text"),
    ("outbound", "net websocket config text metrics"),
    ("net", "config text metrics"),
    ("websocket", "config text metrics"),
    // The messages of a ConfigError quote sanitized values.
    ("config", "text"),
    ("text", ""),
    ("metrics", ""),
];

/// A module's path without `crate`. The crate root has the empty path.
type ModulePath = Vec<String>;

/// The tokens of each module, without comments and unit tests.
type Modules = BTreeMap<ModulePath, Vec<String>>;

/// An importing and an imported module.
type Import = (ModulePath, ModulePath);

/// Removes comments and the items behind `#[cfg(test)]` from code that rustfmt has formatted.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let item = line.trim_start();
        if item == "#[cfg(test)]" {
            // The last line of an item is indented like the first.
            let end = format!("{}}}", &line[..line.len() - item.len()]);
            let first = lines.find(|line| !line.trim_start().starts_with("#["));
            if first.is_some_and(|line| line.ends_with('{')) {
                lines.find(|line| line.trim_end_matches(';') == end);
            }
        } else if !item.starts_with("//") {
            kept += line.split(" // ").next().unwrap_or(line);
            kept.push('\n');
        }
    }
    kept
}

/// Splits code into identifiers, `::`, and other single characters.
fn tokens(code: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens: Vec<String> = Vec::new();
    let mut previous = ' ';
    for c in code.chars() {
        match tokens.last_mut() {
            Some(token) if is_word(c) && is_word(previous) => token.push(c),
            Some(token) if c == ':' && previous == ':' && token == ":" => token.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.into()),
        }
        previous = c;
    }
    tokens
}

/// Returns the names that are declared by `mod NAME;`.
fn declared(tokens: &[String]) -> BTreeSet<&str> {
    let declarations = tokens
        .windows(3)
        .filter(|window| window[0] == "mod" && window[2] == ";");
    declarations.map(|window| window[1].as_str()).collect()
}

/// Reads the module at `path`, whose file is in `folder`, and the modules below it.
fn read_modules(folder: &Path, path: ModulePath, modules: &mut Modules) {
    let name = path.last().map_or("", String::as_str);
    let below = folder.join(name);
    let files = match name {
        "" => [folder.join("lib.rs"), folder.join("lib.rs")],
        name => [folder.join(format!("{name}.rs")), below.join("mod.rs")],
    };
    let code = files.iter().find_map(|file| fs::read_to_string(file).ok());
    let code = code.unwrap_or_else(|| panic!("none of {files:?} is readable"));
    let tokens = tokens(&without_tests(&code));
    for child in declared(&tokens) {
        read_modules(&below, [&path[..], &[child.into()]].concat(), modules);
    }
    modules.insert(path, tokens);
}

/// Appends the paths of the `use` tree or of the plain path at the start of `tokens`. Returns the tokens after it.
fn expand<'a>(
    tokens: &'a [String],
    prefix: &[String],
    paths: &mut Vec<ModulePath>,
) -> &'a [String] {
    let Some((name, mut rest)) = tokens.split_first() else {
        return tokens;
    };
    if name == "{" {
        while let Some(token) = rest.first().filter(|token| *token != "}") {
            rest = match token.as_str() {
                "," => &rest[1..],
                "as" => &rest[2..],
                _ => expand(rest, prefix, paths),
            };
        }
        return rest.get(1..).unwrap_or_default();
    }
    let mut path = prefix.to_vec();
    match name.as_str() {
        "super" => path.truncate(path.len().saturating_sub(1)),
        "self" => {}
        _ => path.push(name.clone()),
    }
    match rest.split_first() {
        Some((separator, rest)) if separator == "::" => expand(rest, &path, paths),
        _ => {
            paths.push(path);
            rest
        }
    }
}

/// Returns the absolute paths into this crate in a module's code. Re-exports of modules below it are left out, because
/// a module that only re-exports does not depend on them.
fn paths(module: &ModulePath, tokens: &[String]) -> Vec<ModulePath> {
    let children = declared(tokens);
    let mut paths = Vec::new();
    let (mut before, mut in_reexport) = ("", false);
    for (index, token) in tokens.iter().enumerate() {
        let is_path_start =
            before != "::" && tokens.get(index + 1).is_some_and(|token| token == "::");
        match token.as_str() {
            "use" => in_reexport = matches!(before, "pub" | ")"),
            ";" => in_reexport = false,
            "crate" if is_path_start => _ = expand(&tokens[index + 2..], &[], &mut paths),
            "super" if is_path_start => _ = expand(&tokens[index..], module, &mut paths),
            name if is_path_start
                && !in_reexport
                && (name == "self" || children.contains(name)) =>
            {
                _ = expand(&tokens[index..], module, &mut paths);
            }
            _ => {}
        }
        before = token;
    }
    paths
}

/// Returns the module that defines the item at a path: the longest prefix that is a module, or the module below it
/// from which it re-exports the item.
fn resolve(modules: &Modules, path: &ModulePath) -> ModulePath {
    let defines = |module: &ModulePath, item: &String| {
        let keywords = [
            "fn", "struct", "enum", "trait", "type", "const", "static", "mod",
        ];
        modules[module]
            .windows(2)
            .any(|window| keywords.contains(&window[0].as_str()) && window[1] == *item)
    };
    let lengths = (0..=path.len()).rev();
    let mut prefixes = lengths.map(|length| path[..length].to_vec());
    let module = prefixes
        .find(|prefix| modules.contains_key(prefix))
        .expect("the crate root is a module");
    let item = path.get(module.len());
    let Some(item) = item.filter(|item| !defines(&module, item)) else {
        return module;
    };
    let mut below = modules.keys().filter(|other| other.starts_with(&module));
    let definition = below.find(|other| defines(other, item)).cloned();
    definition.unwrap_or(module)
}

fn imports(modules: &Modules) -> BTreeSet<Import> {
    let mut imports = BTreeSet::new();
    for (module, tokens) in modules {
        let imported = paths(module, tokens).into_iter();
        imports.extend(imported.map(|path| (module.clone(), resolve(modules, &path))));
    }
    imports.retain(|(from, to)| from != to);
    imports
}

/// Returns the imports that the layers do not allow. The crate root is above all layers.
fn upward_imports(modules: &Modules) -> Vec<String> {
    let is_allowed = |(from, to): &Import| match (from.first(), to.first()) {
        (None, _) => true,
        (from, to) if from == to => true,
        (Some(from), to) => {
            let layer = LAYERS.iter().find(|(name, _)| name == from);
            let (_, allowed) = layer.unwrap_or_else(|| panic!("{from} is not in LAYERS"));
            to.is_some_and(|to| allowed.split(' ').any(|name| name == to))
        }
    };
    let imports = imports(modules).into_iter();
    imports
        .filter(|import| !is_allowed(import))
        .map(describe)
        .collect()
}

/// Returns the imports that are part of a cycle.
fn cyclic_imports(modules: &Modules) -> Vec<String> {
    let imports = imports(modules);
    let reaches = |from: &ModulePath, to: &ModulePath| {
        let mut reached = BTreeSet::from([from]);
        let mut pending = vec![from];
        while let Some(module) = pending.pop() {
            let next = imports.iter().filter(|(from, _)| from == module);
            pending.extend(next.map(|(_, to)| to).filter(|to| reached.insert(to)));
        }
        reached.contains(to)
    };
    let cyclic = imports.iter().filter(|(from, to)| reaches(to, from));
    cyclic.cloned().map(describe).collect()
}

fn describe((from, to): Import) -> String {
    format!(
        "crate::{} imports crate::{}",
        from.join("::"),
        to.join("::")
    )
}

fn crate_modules() -> Modules {
    let mut modules = Modules::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read_modules(&src, Vec::new(), &mut modules);
    modules
}

#[test]
fn imports_go_down_the_layers_only() {
    let violations = upward_imports(&crate_modules());
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    let violations = cyclic_imports(&crate_modules());
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn violations_are_found() {
    let module = |path: &str, code| {
        let path = path.split("::").map(String::from);
        let path = path.filter(|name| !name.is_empty());
        (path.collect(), tokens(&without_tests(code)))
    };
    let modules = Modules::from([
        module(
            "",
            "mod text;\nmod http;\npub use http::Page;\nconst LIMIT: u8 = 1;",
        ),
        module(
            "text",
            "use crate::{LIMIT, http::{self, Page}};\n// use crate::chat;",
        ),
        module(
            "http",
            "mod router;\nmod page;\npub use page::*;\npub use router::Route;",
        ),
        module("http::router", "use super::page;\npub struct Route;"),
        module(
            "http::page",
            "pub struct Page(crate::http::Route);\n#[cfg(test)]\nmod tests {\n    use crate::server::X;\n}",
        ),
    ]);
    let upward = [
        "crate::text imports crate::",
        "crate::text imports crate::http",
        "crate::text imports crate::http::page",
    ];
    let cyclic = [
        "crate::http::page imports crate::http::router",
        "crate::http::router imports crate::http::page",
    ];
    assert_eq!(upward_imports(&modules), upward);
    assert_eq!(cyclic_imports(&modules), cyclic);
}
