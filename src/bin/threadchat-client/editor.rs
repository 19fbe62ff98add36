//! The line editor: completion on Tab, Ctrl-C that clears a draft, and the draft's rows when the window changes.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event,
    EventContext, EventHandler, Helper, KeyEvent, Movement, RepeatCount,
};

use crate::completion::{self, Completion};
use crate::names::KnownNames;
use crate::printer::{self, MessagePrinter};
use crate::resize;

pub type LineEditor = Editor<EditorHelper, DefaultHistory>;

/// The names, shared between the editing thread and the event loop.
#[derive(Clone, Default)]
pub struct SharedNames(Arc<Mutex<KnownNames>>);

impl SharedNames {
    /// Locks the names. A poisoned lock is ignored: no code panics while holding it.
    pub fn lock(&self) -> MutexGuard<'_, KnownNames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns an editor, or `None` if the terminal cannot move its cursor.
pub fn open() -> Option<LineEditor> {
    let config = Config::builder()
        .auto_add_history(true)
        // Nothing is coloured, but without colours rustyline does not call the highlighter.
        .color_mode(ColorMode::Enabled)
        // Completes a single candidate at once. The other type shows no messages until the next key.
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config).ok()?;
    let ctrl_c = EventHandler::Conditional(Box::new(ClearDraft));
    editor.bind_sequence(KeyEvent::ctrl('c'), ctrl_c);
    Some(editor)
}

/// Clears the draft. With an empty line Ctrl-C keeps its meaning.
struct ClearDraft;

impl ConditionalEventHandler for ClearDraft {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        (!context.line().is_empty()).then_some(Cmd::Kill(Movement::WholeBuffer))
    }
}

/// The part of the editor that knows the chat.
pub struct EditorHelper {
    names: SharedNames,
    printer: MessagePrinter,
    prompt: String,
    /// The line as last drawn, and the width of the terminal at that time, which is 0 for a new line.
    drawn: RefCell<(String, usize)>,
}

impl EditorHelper {
    pub fn new(names: SharedNames, printer: MessagePrinter) -> EditorHelper {
        EditorHelper {
            names,
            printer,
            prompt: String::new(),
            drawn: RefCell::default(),
        }
    }

    /// Takes the prompt of the next line.
    pub fn start_line(&mut self, prompt: &str) {
        self.prompt = prompt.to_owned();
        self.drawn.take();
    }
}

impl Completer for EditorHelper {
    type Candidate = String;

    /// Returns one candidate or none. With several, rustyline would print no message until the next key.
    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        match completion::complete(line, cursor, &self.names.lock()) {
            Completion::Nothing => Ok((0, Vec::new())),
            Completion::Replace(start, text) => Ok((start, vec![text])),
            Completion::Choose(words) => {
                self.printer.try_print_choice(&words);
                Ok((0, Vec::new()))
            }
        }
    }
}

impl Hinter for EditorHelper {
    type Hint = String;

    /// Gives no hint. rustyline calls this before each time it draws the line, also when the window has changed.
    fn hint(&self, line: &str, cursor: usize, _: &Context<'_>) -> Option<String> {
        let columns = printer::columns();
        let (drawn, old_columns) = self.drawn.replace((line.to_owned(), columns));
        // The line has changed if a key is the reason for drawing it.
        if drawn == line && old_columns != columns && old_columns > 0 {
            let text = [&self.prompt, line].concat();
            let cursor = self.prompt.len() + cursor;
            let output = resize::erase_draft(&text, cursor, old_columns, columns);
            let mut stdout = io::stdout();
            // rustyline meets the same error when it draws the line.
            let _ = stdout
                .write_all(output.as_bytes())
                .and_then(|()| stdout.flush());
        }
        None
    }
}

impl Highlighter for EditorHelper {
    /// Lets a draft of several rows be drawn as a whole with each key. Otherwise it contains the line break that rustyline
    /// writes after a full row, and a terminal that wraps lines anew does not join its rows.
    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        resize::is_long(&[&self.prompt, line].concat(), printer::columns())
    }
}
impl Validator for EditorHelper {}
impl Helper for EditorHelper {}
