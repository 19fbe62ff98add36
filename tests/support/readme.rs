//! The documents, whose examples the tests use.

pub const README: Document = Document {
    path: "README.md",
    text: include_str!("../../README.md"),
};
pub const OPERATIONS: Document = Document {
    path: "src/docs/operations.md",
    text: include_str!("../../src/docs/operations.md"),
};
pub const INSTALLATION: Document = Document {
    path: "src/docs/installation.md",
    text: include_str!("../../src/docs/installation.md"),
};
pub const PROTOCOL: Document = Document {
    path: "src/docs/protocol.md",
    text: include_str!("../../src/docs/protocol.md"),
};
pub const DESIGN: Document = Document {
    path: "src/docs/design.md",
    text: include_str!("../../src/docs/design.md"),
};
pub const BENCHMARKS: Document = Document {
    path: "src/docs/benchmarks.md",
    text: include_str!("../../src/docs/benchmarks.md"),
};
pub const CHANGELOG: Document = Document {
    path: "src/docs/changelog.md",
    text: include_str!("../../src/docs/changelog.md"),
};
pub const TUTORIAL: Document = Document {
    path: "src/tutorial/README.md",
    text: include_str!("../../src/tutorial/README.md"),
};

pub const DOCUMENTS: [Document; 8] = [
    README,
    OPERATIONS,
    INSTALLATION,
    PROTOCOL,
    DESIGN,
    BENCHMARKS,
    CHANGELOG,
    TUTORIAL,
];

pub struct Document {
    /// From the root of the repository.
    pub path: &'static str,
    pub text: &'static str,
}

impl Document {
    /// Returns all blocks of a kind.
    pub fn blocks(&self, kind: &str) -> Vec<&'static str> {
        let begin = format!("```{kind}\n");
        let blocks = self.text.split(&begin).skip(1);
        blocks
            .map(|rest| rest.split_once("```").expect("blocks end").0)
            .collect()
    }

    /// Returns the first block of a kind.
    pub fn block(&self, kind: &str) -> &'static str {
        let blocks = self.blocks(kind);
        blocks
            .first()
            .unwrap_or_else(|| panic!("{} has no block of {kind}", self.path))
    }

    /// Returns the text without its blocks.
    pub fn prose(&self) -> String {
        self.text.split("```").step_by(2).collect()
    }
}
