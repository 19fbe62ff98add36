//! The README, whose examples the tests use.

pub const README: &str = include_str!("../../README.md");

/// The first block of a kind.
pub fn block(kind: &str) -> &'static str {
    let (_, rest) = README
        .split_once(&format!("```{kind}\n"))
        .expect("it is there");
    let (block, _) = rest.split_once("```").expect("blocks end");
    block
}
