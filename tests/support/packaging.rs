//! The man pages and completions, made from `--help`.

use std::fmt::Write;

/// The day of the version that the man pages describe.
const DATE: &str = "2026-11-25";

/// An option of a program, or an argument without dashes.
pub struct Opt {
    pub name: String,
    /// The placeholder of its value, empty for a flag.
    pub value: String,
    pub description: String,
}

impl Opt {
    fn is_argument(&self) -> bool {
        !self.name.starts_with("--")
    }

    fn takes_file(&self) -> bool {
        self.value == "FILE" || self.value == "PATH"
    }

    /// Returns the description without the default, which would not fit into a list of completions.
    fn summary(&self) -> &str {
        let end = self.description.find([';', '[']);
        self.description[..end.unwrap_or(self.description.len())].trim_end_matches([',', ' '])
    }

    /// Returns the words that the value can be.
    fn words(&self) -> Vec<&str> {
        if self.value != "LEVEL" {
            return Vec::new();
        }
        let (words, _) = self.description.split_once(" [").expect("it has a default");
        words
            .split([',', ' '])
            .filter(|word| !word.is_empty() && *word != "or")
            .collect()
    }
}

/// A program and its help.
pub struct Program {
    pub name: &'static str,
    pub help: String,
}

impl Program {
    pub fn options(&self) -> Vec<Opt> {
        let mut options: Vec<Opt> = Vec::new();
        for line in self.help.lines() {
            let text = line.trim();
            let indent = line.len() - line.trim_start().len();
            match indent {
                2 if text.starts_with("--help, --version") => {
                    options.push(option("--help", "print the options, and exit"));
                    options.push(option("--version", "print the version, and exit"));
                }
                2 => {
                    let (head, description) = text.split_once("  ").unwrap_or((text, ""));
                    options.push(option(head, description.trim()));
                }
                3.. => {
                    let last = options.last_mut().expect("an option precedes");
                    last.description = format!("{} {text}", last.description).trim().to_owned();
                }
                _ => {}
            }
        }
        options
    }

    /// Returns the paragraphs after the options.
    fn notes(&self) -> &str {
        self.help
            .split_once("--version")
            .and_then(|(_, rest)| rest.split_once("\n\n"))
            .map_or("", |(_, notes)| notes)
    }

    pub fn man_page(&self, version: &str) -> String {
        let name = self.name;
        let (title, _) = self
            .help
            .split_once('\n')
            .expect("the first line is the title");
        let (_, title) = title.split_once(", ").expect("the title follows the name");
        let mut page = format!(
            ".\\\" Made from --help by tests/packaging.rs.\n.TH {} 1 {DATE} \"threadchat {version}\"\n.SH NAME\n{} \\- {title}\n.SH SYNOPSIS\n.B {}\n[\\fIOPTION\\fR]...{}\n.SH OPTIONS\n",
            name.to_uppercase(),
            escape(name),
            escape(name),
            if name.ends_with("client") {
                " [\\fIURL\\fR]"
            } else {
                ""
            },
        );
        for option in self.options() {
            let value = match option.value.as_str() {
                "" => String::new(),
                value => format!(" \\fI{}\\fR", escape(value)),
            };
            let _ = writeln!(
                page,
                ".TP\n\\fB{}\\fR{value}\n{}",
                escape(&option.name),
                escape(&option.description)
            );
        }
        if !self.notes().is_empty() {
            let _ = write!(
                page,
                ".SH NOTES\n{}",
                escape(self.notes().trim_end()) + "\n"
            );
        }
        let other = if name == "threadchat" {
            "threadchat\\-client"
        } else {
            "threadchat"
        };
        let _ = writeln!(page, ".SH SEE ALSO\n.BR {other} (1)");
        page
    }
}

fn option(head: &str, description: &str) -> Opt {
    let (name, value) = head.split_once(' ').unwrap_or((head, ""));
    Opt {
        name: name.to_owned(),
        value: value.to_owned(),
        description: description.to_owned(),
    }
}

/// Escapes what roff would take for a request, an escape, or a hyphen.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.lines().map(|line| match line.chars().next() {
        Some('.' | '\'') => format!("\\&{line}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

const MADE: &str = "# Made from --help by tests/packaging.rs.\n";

pub fn bash(programs: &[Program]) -> String {
    let mut script = MADE.to_owned();
    for program in programs {
        let options = program.options();
        let function = format!("_{}", program.name.replace('-', "_"));
        let _ = write!(
            script,
            "\n{function}() {{\n    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}\n    COMPREPLY=()\n    case $prev in\n"
        );
        let names = |wanted: &dyn Fn(&Opt) -> bool| -> String {
            let names: Vec<&str> = options
                .iter()
                .filter(|option| !option.is_argument() && wanted(option))
                .map(|option| option.name.as_str())
                .collect();
            names.join("|")
        };
        let files = names(&|option| option.takes_file());
        let _ = writeln!(script, "        {files}) compopt -o default; return ;;");
        for option in options.iter().filter(|option| !option.words().is_empty()) {
            let _ = writeln!(
                script,
                "        {}) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\"); return ;;",
                option.name,
                option.words().join(" ")
            );
        }
        let others = names(&|option| {
            !option.value.is_empty() && !option.takes_file() && option.words().is_empty()
        });
        let _ = writeln!(script, "        {others}) return ;;\n    esac");
        let all = names(&|_| true).replace('|', " ");
        let _ = writeln!(
            script,
            "    mapfile -t COMPREPLY < <(compgen -W '{all}' -- \"$cur\")\n}}\ncomplete -F {function} {}",
            program.name
        );
    }
    script
}

pub fn zsh(programs: &[Program]) -> String {
    let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
    let mut script = format!("#compdef {}\n{MADE}\ncase $service in\n", names.join(" "));
    for program in programs {
        let _ = write!(script, "{})\n    _arguments", program.name);
        for option in program.options() {
            let quoted = |text: &str| text.replace('\'', "'\\''").replace(':', "\\:");
            let summary = quoted(option.summary())
                .replace('[', "\\[")
                .replace(']', "\\]");
            let action = match option.words() {
                words if !words.is_empty() => format!("({})", words.join(" ")),
                _ if option.takes_file() => "_files".to_owned(),
                _ => " ".to_owned(),
            };
            let spec = match (option.is_argument(), option.value.is_empty()) {
                (true, _) => format!("1:{summary}: "),
                (false, true) => format!("{}[{summary}]", option.name),
                (false, false) => format!(
                    "*{}[{summary}]:{}:{action}",
                    option.name,
                    quoted(&option.value)
                ),
            };
            let _ = write!(script, " \\\n        '{spec}'");
        }
        script.push_str("\n    ;;\n");
    }
    script + "esac\n"
}

pub fn fish(programs: &[Program]) -> String {
    let mut script = MADE.to_owned();
    for program in programs {
        let _ = writeln!(script, "\ncomplete -c {} -f", program.name);
        for option in program
            .options()
            .iter()
            .filter(|option| !option.is_argument())
        {
            let long = &option.name[2..];
            let value = match option.words() {
                words if !words.is_empty() => format!(" -x -a '{}'", words.join(" ")),
                _ if option.takes_file() => " -r -F".to_owned(),
                _ if option.value.is_empty() => String::new(),
                _ => " -x".to_owned(),
            };
            let summary = option.summary().replace('\\', "\\\\").replace('\'', "\\'");
            let _ = writeln!(
                script,
                "complete -c {} -l {long}{value} -d '{summary}'",
                program.name
            );
        }
    }
    script
}
