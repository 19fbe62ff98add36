//! The line editor: completion on Tab, Ctrl-C that clears a draft, and the draft's rows when the window changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event,
    EventContext, EventHandler, Helper, KeyEvent, Movement, RepeatCount,
};

use crate::completion::{self, Completion};
use crate::names::KnownNames;
use crate::printer::MessagePrinter;

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
        .color_mode(ColorMode::Disabled)
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
    pub names: SharedNames,
    pub printer: MessagePrinter,
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
}

impl Highlighter for EditorHelper {}
impl Validator for EditorHelper {}
impl Helper for EditorHelper {}
