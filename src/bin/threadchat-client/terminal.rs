//! A person at a terminal. One thread edits the line being typed, another hears the server, says what it hears above that
//! line, and finds the server again when it is gone.

use std::io::{self, ErrorKind, IsTerminal};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{ColorMode, Config, Editor};
use threadchat::protocol::plain;
use threadchat::protocol::{ClientCommand, ServerEvent};
use threadchat::text::{MAX_NAME_LEN, sanitize};

use crate::Result;
use crate::cli::Target;
use crate::connection::{Connection, Ended, Outgoing, SendError};
use crate::printer::{Gone, Printer, Screen};
use crate::render::{self as lines, Own};

/// The first pause before the server is tried again; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest of them. A connection that held longer than this starts anew with the first.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How long the next prompt waits for an answer that may change the name in it.
const ANSWER: Duration = Duration::from_secs(1);

/// How long a line may wait for a server that is slow to read.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long leaving may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// A terminal on both sides, ready for line editing.
pub struct Terminal {
    editor: Editor<(), DefaultHistory>,
    printer: Printer,
}

/// What the two threads know together.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// While there is a connection.
    outgoing: Option<Outgoing>,
    name: String,
    /// How often we were told a name, or that one can't be had: what the prompt may wait for.
    named: usize,
    /// Messages that we said and haven't heard yet.
    unheard: usize,
    leaving: bool,
}

impl Shared {
    /// Nobody panics while holding it, and a half-done change would show in the prompt at worst.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name, once we were told more often than this, or after a while.
    fn name_after(&self, named: usize) -> String {
        let waited = self
            .changed
            .wait_timeout_while(self.state(), ANSWER, |state| {
                state.named <= named && state.outgoing.is_some()
            });
        waited
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .name
            .clone()
    }
}

impl Terminal {
    /// `None`: stdin or stdout is no terminal, or one that can't move its cursor.
    pub fn open() -> Option<Terminal> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let config = Config::builder()
            .auto_add_history(true)
            .color_mode(ColorMode::Disabled)
            .build();
        let mut editor = Editor::with_config(config).ok()?;
        let printer = Box::new(editor.create_external_printer().ok()?);
        Some(Terminal { editor, printer })
    }

    /// Chats until the user leaves.
    pub fn run(mut self, target: Target, name: Option<String>) -> Result<()> {
        let connection = Connection::open(&target, name.as_deref())?;
        let shared = Arc::new(Shared::default());
        shared.state().outgoing = Some(connection.outgoing());
        let screen = Screen::start(self.printer)?;
        let (hearing, heard) = bounded(0);
        let hearer = Hearer {
            shared: Arc::clone(&shared),
            screen: screen.clone(),
            target,
            chosen: name,
            own: Own::default(),
            _done: hearing,
        };
        thread::Builder::new()
            .name("hearer".into())
            .spawn(move || hearer.run(connection))?;

        let mut answers_before = 0;
        'typing: loop {
            // A prompt that is on the screen can't be changed: a name that comes later is in the next one.
            let prompt = format!("{}> ", shared.name_after(answers_before));
            answers_before = 0;
            screen.settle();
            let typed = match self.editor.readline(&prompt) {
                Ok(typed) => typed,
                // Ctrl-D, Ctrl-C.
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => break,
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    screen.answer(&ServerEvent::Error {
                        text: "That was not UTF-8.".into(),
                    })?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            // What is pasted may have several lines.
            for line in typed.lines().filter(|line| !line.trim().is_empty()) {
                match plain::decode(line) {
                    ClientCommand::Quit => break 'typing,
                    ClientCommand::Help {} => screen.answer(&lines::help())?,
                    ClientCommand::Invalid(why) => {
                        screen.answer(&ServerEvent::Error { text: why.into() })?
                    }
                    request => {
                        if matches!(request, ClientCommand::Rename { .. }) {
                            answers_before = shared.state().named;
                        }
                        if let Err(why) = say(&shared, &request) {
                            screen.answer(&ServerEvent::Error { text: why.into() })?;
                            break;
                        }
                    }
                }
            }
        }

        let outgoing = {
            let mut state = shared.state();
            state.leaving = true;
            state.outgoing.take()
        };
        // Without a connection there is nobody to say goodbye to.
        if outgoing.is_some_and(|outgoing| outgoing.close().is_ok()) {
            let _ = heard.recv_timeout(GOODBYE);
        }
        Ok(())
    }
}

/// Sends, or tells why not.
fn say(shared: &Shared, request: &ClientCommand<'_>) -> std::result::Result<(), &'static str> {
    const GONE: &str = "That was not sent: there is no connection.";
    let counts = usize::from(matches!(request, ClientCommand::Message { .. }));
    let outgoing = {
        let mut state = shared.state();
        let outgoing = state.outgoing.clone().ok_or(GONE)?;
        // Before it is sent, as it may be heard at once; and together, as whoever takes a lost connection away tells how
        // many lines may not have arrived by it.
        state.unheard += counts;
        outgoing
    };
    outgoing.send(request, Some(PATIENCE)).map_err(|error| {
        let mut state = shared.state();
        state.unheard = state.unheard.saturating_sub(counts);
        match error {
            SendError::Ended => GONE,
            SendError::Stuck => "That was not sent: the server takes nothing at present.",
        }
    })
}

/// The thread that hears the server.
struct Hearer {
    shared: Arc<Shared>,
    screen: Screen,
    target: Target,
    /// The name to ask for: the last one that was chosen and had.
    chosen: Option<String>,
    own: Own,
    /// Dropped when it ends.
    _done: Sender<()>,
}

impl Hearer {
    /// Until the user leaves, or the terminal is gone.
    fn run(mut self, mut connection: Connection) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let Ok(ended) = self.hear(&mut connection) else {
                return;
            };
            drop(connection);
            if began.elapsed() > LAST_PAUSE {
                pause = FIRST_PAUSE;
            }
            let unheard = {
                let mut state = self.shared.state();
                if state.leaving {
                    return;
                }
                state.outgoing = None;
                std::mem::take(&mut state.unheard)
            };
            self.shared.changed.notify_all();
            let lost = match unheard {
                0 => String::new(),
                1 => " Your last message may not have arrived.".to_owned(),
                more => format!(" Your last {more} messages may not have arrived."),
            };
            let notice = format!(
                "Disconnected: {ended}.{lost} Trying again until the server is back; Ctrl-D leaves."
            );
            if self.screen.notice(&notice).is_err() {
                return;
            }
            let Ok(found) = self.reconnect(&mut pause) else {
                return;
            };
            connection = found;
        }
    }

    /// Shows everything up to the end of the connection.
    fn hear(&mut self, connection: &mut Connection) -> std::result::Result<Ended, Gone> {
        loop {
            let mut told = match connection.hear() {
                Ok(told) => told,
                Err(ended) => return Ok(ended),
            };
            let before = self.own.name.clone();
            self.own.follow(&mut told);
            let renamed = matches!(told, ServerEvent::Renamed { .. }) && self.own.name != before;
            if renamed {
                self.chosen = Some(self.own.name.clone());
            }
            self.screen.show(&told, &self.own.name)?;

            let mut state = self.shared.state();
            match &told {
                ServerEvent::Message { from, .. } if *from == self.own.name => {
                    state.unheard = state.unheard.saturating_sub(1)
                }
                ServerEvent::Renamed { .. } if !renamed => {}
                ServerEvent::Welcome { .. }
                | ServerEvent::Renamed { .. }
                | ServerEvent::Error { .. } => {
                    state.name = sanitize(&self.own.name)
                        .chars()
                        .take(MAX_NAME_LEN)
                        .collect();
                    state.named += 1;
                    self.shared.changed.notify_all();
                }
                _ => {}
            }
        }
    }

    /// Tries until there is a connection, with growing pauses.
    fn reconnect(&mut self, pause: &mut Duration) -> std::result::Result<Connection, Gone> {
        let mut said = String::new();
        loop {
            // Leaving ends the program, whatever this thread waits for.
            thread::sleep(*pause);
            *pause = (*pause * 2).min(LAST_PAUSE);
            match Connection::open(&self.target, self.chosen.as_deref()) {
                Ok(connection) => {
                    self.shared.state().outgoing = Some(connection.outgoing());
                    self.screen.notice("Connected again.")?;
                    return Ok(connection);
                }
                Err(error) => {
                    let error = error.to_string();
                    // The same again would only fill the screen.
                    if error != said {
                        self.screen
                            .notice(&format!("Still disconnected: {error}."))?;
                        said = error;
                    }
                }
            }
        }
    }
}
