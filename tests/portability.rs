//! The server builds for systems without 64-bit atomics, and without an async runtime.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Collects the Rust files that contain one of the words.
fn files_with(words: &[&str], folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            files_with(words, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path).expect("the file is readable");
            if words.iter().any(|word| code.contains(word)) {
                found.push(path.display().to_string());
            }
        }
    }
}

#[test]
fn no_64_bit_atomics() {
    // 32-bit MIPS, ARMv5 and 32-bit PowerPC do not have them.
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files_with(&["AtomicU64", "AtomicI64"], &src, &mut found);
    assert!(found.is_empty(), "64-bit atomics in {found:?}");
}

#[test]
fn no_async_runtime_among_the_dependencies() {
    const RUNTIMES: [&str; 8] = [
        "tokio",
        "mio",
        "async-std",
        "async-io",
        "async-executor",
        "smol",
        "futures-executor",
        "futures-util",
    ];
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--edges", "all", "--all-features"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .expect("cargo can be started");
    let tree = String::from_utf8(output.stdout).expect("the output is UTF-8");
    assert!(
        output.status.success() && tree.contains("tungstenite"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut crates = tree.lines().filter_map(|line| line.split(' ').next());
    let runtime = crates.find(|name| RUNTIMES.contains(name));
    assert_eq!(runtime, None, "{tree}");
}

#[test]
fn without_the_feature_cluster_redis_is_no_dependency() {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--edges", "all", "--prefix", "none"])
        .output()
        .expect("cargo can be started");
    let tree = String::from_utf8(output.stdout).expect("the output is UTF-8");
    assert!(tree.contains("tungstenite "), "{tree}");
    assert!(
        !tree.lines().any(|line| line.starts_with("redis")),
        "{tree}"
    );
}
