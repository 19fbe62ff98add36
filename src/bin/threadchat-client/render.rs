//! Server events as lines of text.

use threadchat::protocol::ServerEvent;
use threadchat::protocol::plain;
use threadchat::text::sanitize;
use unicode_width::UnicodeWidthChar;

use crate::clock::Clock;
use crate::own_name::OwnName;

/// Returns the event's lines in the plain-text dialect, sanitized, because a hostile server could otherwise control the
/// terminal.
pub fn plain_lines(event: &ServerEvent<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    plain::encode(event, |line| lines.push(sanitize(line).into_owned()));
    lines
}

/// Renders events for a terminal.
#[derive(Clone)]
pub struct Renderer {
    pub colours: bool,
    /// `None` prints no times.
    pub clock: Option<Clock>,
}

const BOLD: &str = "1";
const FAINT: &str = "2";
const YELLOW: &str = "33";
const MAGENTA: &str = "35";
const BOLD_CYAN: &str = "1;36";

/// The most words that a choice lists.
const MAX_CHOICE: usize = 100;

impl Renderer {
    /// Uses colours unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn from_env(show_times: bool) -> Renderer {
        Renderer {
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            clock: show_times.then(Clock::from_env),
        }
    }

    /// Returns the event's lines, each with its line break. Unlike the plain-text dialect, they announce joins and leaves.
    /// Answers to a command have no time.
    pub fn lines(&self, event: &ServerEvent<'_>, own_name: &OwnName, time: u64) -> String {
        let mut text = String::new();
        match event {
            ServerEvent::Welcome { name, users, .. } => {
                let name = sanitize(name);
                let line =
                    format!("You are {name}. Users here: {users}. /help lists the commands.");
                text += &self.notice(&line, time);
            }
            ServerEvent::Joined { name, users } => {
                text += &self.notice(&format!("{name} joined. Users here: {users}."), time);
            }
            ServerEvent::Left { name, users } => {
                text += &self.notice(&format!("{name} left. Users here: {users}."), time);
            }
            ServerEvent::Who { .. } | ServerEvent::Help { .. } | ServerEvent::Error { .. } => {
                for line in plain_lines(event) {
                    text += &self.line(event, &line, own_name);
                }
            }
            _ => {
                for line in plain_lines(event) {
                    text += &self.time(time);
                    text += &self.line(event, &line, own_name);
                }
            }
        }
        text
    }

    /// Returns a line that no user sent.
    pub fn notice(&self, text: &str, time: u64) -> String {
        self.time(time) + &self.paint(FAINT, &format!("* {}", sanitize(text)), "")
    }

    /// Returns a line with words to choose from.
    pub fn choice(&self, words: &[String]) -> String {
        let listed = words.len().min(MAX_CHOICE);
        let more = match words.len() - listed {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let words = words[..listed].join(" ");
        self.paint(FAINT, &format!("* {words}{more}"), "")
    }

    /// Returns the time of day with a space, or nothing without a clock.
    fn time(&self, time: u64) -> String {
        match &self.clock {
            Some(clock) if self.colours => format!("\x1b[{FAINT}m{}\x1b[0m ", clock.format(time)),
            Some(clock) => clock.format(time) + " ",
            None => String::new(),
        }
    }

    fn line(&self, event: &ServerEvent<'_>, line: &str, own_name: &OwnName) -> String {
        match event {
            ServerEvent::Message { from, text, .. } | ServerEvent::Action { from, text, .. }
                if *from != own_name.name && own_name.is_mentioned(text) =>
            {
                self.paint(BOLD_CYAN, line, "")
            }
            ServerEvent::Message { .. } | ServerEvent::Action { .. } => {
                let end = line.find(']').map_or(0, |end| end + 1);
                self.paint(BOLD, &line[..end], &line[end..])
            }
            ServerEvent::Whisper { .. } => self.paint(MAGENTA, line, ""),
            ServerEvent::Error { .. } => self.paint(YELLOW, line, ""),
            _ => self.paint(FAINT, line, ""),
        }
    }

    fn paint(&self, colour: &str, painted: &str, rest: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{painted}\x1b[0m{rest}\n")
        } else {
            format!("{painted}{rest}\n")
        }
    }
}

/// The indent of a continuation line. Without it, the end of a wrapped text could look like a line of its own.
const INDENT: &str = "    ";

/// Breaks lines that are wider than `width` columns, before the last word unless it is long, and indents the continuation
/// lines.
/// Lines for a terminal of a few columns stay as they are.
pub fn wrap(lines: &str, width: usize) -> String {
    if width < 4 * INDENT.len() {
        return lines.to_owned();
    }
    let mut wrapped = String::new();
    let (mut column, mut after_space, mut in_colour) = (0, None, false);
    for c in lines.chars() {
        in_colour |= c == '\u{1b}';
        let columns = match c {
            _ if in_colour => 0,
            // Makes the emoji before it two columns wide on many terminals.
            '\u{fe0f}' => 1,
            _ => c.width().unwrap_or(0),
        };
        in_colour &= c != 'm';
        if column + columns > width {
            let (at, start) = after_space
                .take()
                .filter(|(_, start)| column - start < width / 3)
                .unwrap_or((wrapped.len(), column));
            wrapped.insert_str(at, INDENT);
            wrapped.insert(at, '\n');
            column = INDENT.len() + column - start;
        }
        wrapped.push(c);
        column += columns;
        match c {
            '\n' => (column, after_space) = (0, None),
            ' ' => after_space = Some((wrapped.len(), column)),
            _ => {}
        }
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}[2J\u{9b}31m\r\n\u{202e}";

    fn renderer(colours: bool) -> Renderer {
        let clock = Some(Clock::from_env());
        Renderer { colours, clock }
    }

    fn own_name(name: &str) -> OwnName {
        let mut own_name = OwnName::default();
        own_name.name = name.to_owned();
        own_name
    }

    /// Returns one event of every type, with this text in every text field.
    fn every_event(text: &str) -> Vec<ServerEvent<'_>> {
        let text = || text.into();
        let (from, to, users) = (text, text, 1);
        vec![
            ServerEvent::Welcome {
                name: text(),
                users,
                room: text(),
                epoch: 1,
                last: 0,
                gap: false,
            },
            ServerEvent::Message {
                from: from(),
                text: text(),
                id: 1,
                time: 1,
            },
            ServerEvent::Action {
                from: from(),
                text: text(),
                id: 1,
                time: 1,
            },
            ServerEvent::Whisper {
                from: from(),
                to: to(),
                text: text(),
                to_sender: true,
            },
            ServerEvent::Joined {
                name: text(),
                users,
            },
            ServerEvent::Left {
                name: text(),
                users,
            },
            ServerEvent::Renamed {
                from: from(),
                to: to(),
            },
            ServerEvent::Who {
                names: vec![text()],
                users,
            },
            ServerEvent::Help { text: text() },
            ServerEvent::Error { text: text() },
        ]
    }

    #[test]
    fn lines_never_control_the_terminal() {
        let renderer = renderer(false);
        for event in every_event(HOSTILE) {
            let lines = renderer.lines(&event, &own_name("me"), 0);
            assert!(!lines.is_empty(), "{event:?}");
            for line in lines.lines().map(str::to_owned).chain(plain_lines(&event)) {
                assert!(
                    !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
                    "{line:?}"
                );
            }
        }
    }

    #[test]
    fn colours_leave_the_text_unchanged() {
        let events = every_event("me abc");
        // Users with the second name are mentioned.
        for (event, own_name) in events
            .iter()
            .flat_map(|event| [(event, own_name("al")), (event, own_name("me"))])
        {
            let [plain, coloured] =
                [false, true].map(|colours| renderer(colours).lines(event, &own_name, 0));
            assert_ne!(plain, coloured);
            let mut bare = coloured.replace("\x1b[0m", "");
            for colour in [BOLD, FAINT, YELLOW, MAGENTA, BOLD_CYAN] {
                bare = bare.replace(&format!("\x1b[{colour}m"), "");
            }
            assert_eq!(bare, plain);
        }
    }

    #[test]
    fn continuation_lines_are_indented() {
        for (lines, expected) in [
            ("* short\n", "* short\n"),
            ("[al]: 89abcdefghij\n", "[al]: 89abcdefghij\n"),
            (
                "[al]: 89abc * stops.\n* next\n",
                "[al]: 89abc * \n    stops.\n* next\n",
            ),
            (
                "[al]: 89abcdefghijklmn op\n",
                "[al]: 89abcdefghij\n    klmn op\n",
            ),
            (
                "\x1b[1m[al]\x1b[0m: 89abcdefghijk\n",
                "\x1b[1m[al]\x1b[0m: 89abcdefghij\n    k\n",
            ),
            ("[al]: 日本語日本語日本\n", "[al]: 日本語日本語\n    日本\n"),
            (
                "[al]: ❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}❤\n",
                "[al]: ❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}\n    ❤\n",
            ),
        ] {
            assert_eq!(wrap(lines, 18), expected, "{lines:?}");
        }
        // Unbroken text of any length has no row of its own.
        for row in wrap(&"* ".repeat(100).replace(' ', "*"), 40)
            .lines()
            .skip(1)
        {
            assert!(row.starts_with(INDENT) && row.len() <= 40, "{row:?}");
        }
        assert_eq!(
            wrap("a terminal without columns\n", 0),
            "a terminal without columns\n"
        );
    }
}
