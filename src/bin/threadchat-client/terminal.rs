//! The interactive client. One thread edits lines and sends them. The event loop, a thread of its own, receives events,
//! prints them above the line being edited, and reconnects when the connection is lost.

use std::io::{self, ErrorKind, IsTerminal};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use rustyline::error::ReadlineError;
use threadchat::protocol::{ClientCommand, ServerEvent};
use threadchat::text::{MAX_NAME_LEN, sanitize};
use tungstenite::http::HeaderValue;

use crate::Result;
use crate::cli::ServerUrl;
use crate::connection::{CLOSE_TIMEOUT, CommandSender, Connection, Disconnected, SendError};
use crate::editor::{self, EditorHelper, LineEditor, SharedNames};
use crate::input::{self, Input};
use crate::own_name::OwnName;
use crate::place::Place;
use crate::printer::{MessagePrinter, Printer, TerminalClosed};
use crate::render::Renderer;

/// Delay before the first attempt to reconnect. Each further attempt doubles the delay.
const MIN_BACKOFF: Duration = Duration::from_secs(1);

/// Longest delay between attempts to reconnect. A connection that lasted longer than this resets the delay.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Longest wait of the next prompt for the reply to `/nick`, which can change the name in the prompt.
const NAME_REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest wait of a line for a server that reads slowly.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// A terminal on stdin and stdout, ready for line editing.
pub struct Terminal {
    editor: LineEditor,
    printer: Printer,
}

/// State shared between the editing thread and the event loop.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// `None` while disconnected.
    command_sender: Option<CommandSender>,
    name: String,
    /// Number of events so far that set the name or rejected one. The prompt waits for the next one.
    name_revision: usize,
    /// Messages sent that the server has not broadcast yet.
    unconfirmed: usize,
    closing: bool,
}

impl Shared {
    /// Locks the state. A poisoned lock is ignored: no code panics while holding it, and the worst effect of a partial
    /// change would be a wrong prompt.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the name once its revision is above `name_revision`, the connection is lost, or the timeout has passed.
    fn wait_for_name(&self, name_revision: usize) -> String {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.state(), NAME_REPLY_TIMEOUT, |state| {
                state.name_revision <= name_revision && state.command_sender.is_some()
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.name.clone()
    }
}

impl Terminal {
    /// Returns `None` if stdin or stdout is not a terminal, or the terminal cannot move its cursor.
    pub fn open() -> Option<Terminal> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let mut editor = editor::open()?;
        let printer = Box::new(editor.create_external_printer().ok()?);
        Some(Terminal { editor, printer })
    }

    /// Chats until the user leaves.
    pub fn run(mut self, url: ServerUrl, name: Option<String>, show_times: bool) -> Result<()> {
        let (place, mut authorization) = (Place::default(), None);
        let connection = Connection::open(&url, name.as_deref(), &place, &mut authorization)?;
        let shared = Arc::new(Shared::default());
        shared.state().command_sender = Some(connection.command_sender());
        let printer = MessagePrinter::start(self.printer, Renderer::from_env(show_times))?;
        let names = SharedNames::default();
        let helper = EditorHelper::new(names.clone(), printer.clone());
        self.editor.set_helper(Some(helper));
        let (done_sender, done) = bounded(0);
        let event_loop = EventLoop {
            shared: Arc::clone(&shared),
            printer: printer.clone(),
            url,
            own_name: OwnName::new(name),
            place,
            authorization,
            names,
            awaits_names: false,
            _done: done_sender,
        };
        thread::Builder::new()
            .name("events".into())
            .spawn(move || event_loop.run(connection))?;

        let mut name_revision = 0;
        'editing: loop {
            // A prompt on the screen does not change: a name that arrives later appears in the next prompt.
            let prompt = format!("{}> ", shared.wait_for_name(name_revision));
            name_revision = 0;
            if let Some(helper) = self.editor.helper_mut() {
                helper.start_line(&prompt);
            }
            printer.flush();
            let typed = match self.editor.readline(&prompt) {
                Ok(typed) => typed,
                // Ctrl-D, and Ctrl-C on an empty line.
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => break,
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    printer.print_inline(&ServerEvent::Error {
                        text: "Not sent: the line is not valid UTF-8.".into(),
                    })?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for input in input::parse_lines(&typed) {
                match input {
                    Input::Clear => printer.clear_screen()?,
                    Input::Quit => break 'editing,
                    Input::Print(event) => printer.print_inline(&event)?,
                    Input::Send(command) => {
                        if matches!(command, ClientCommand::Rename { .. }) {
                            name_revision = shared.state().name_revision;
                        }
                        if let Err(error) = send(&shared, &command) {
                            printer.print_inline(&ServerEvent::Error { text: error.into() })?;
                            break;
                        }
                    }
                }
            }
        }

        let command_sender = {
            let mut state = shared.state();
            state.closing = true;
            state.command_sender.take()
        };
        if command_sender.is_some_and(|sender| sender.close().is_ok()) {
            // Returns when the event loop has ended.
            let _ = done.recv_timeout(CLOSE_TIMEOUT);
        }
        Ok(())
    }
}

/// Sends a command, or returns the error to print.
fn send(shared: &Shared, command: &ClientCommand<'_>) -> std::result::Result<(), &'static str> {
    const NOT_CONNECTED: &str = "Not sent: not connected.";
    let messages = usize::from(matches!(command, ClientCommand::Message { .. }));
    let command_sender = {
        let mut state = shared.state();
        let command_sender = state.command_sender.clone().ok_or(NOT_CONNECTED)?;
        // Counted before it is sent, because the broadcast can arrive at once. Counted under the same lock that guards
        // the sender, because the event loop reports the count when it removes the sender of a lost connection.
        state.unconfirmed += messages;
        command_sender
    };
    command_sender
        .send(command, Some(SEND_TIMEOUT))
        .map_err(|error| {
            let mut state = shared.state();
            state.unconfirmed = state.unconfirmed.saturating_sub(messages);
            match error {
                SendError::Disconnected => NOT_CONNECTED,
                SendError::Timeout => "Not sent: the server is not reading.",
            }
        })
}

/// The thread that receives and prints events.
struct EventLoop {
    shared: Arc<Shared>,
    printer: MessagePrinter,
    url: ServerUrl,
    own_name: OwnName,
    place: Place,
    /// The header that brought the secret to the last connection.
    authorization: Option<HeaderValue>,
    names: SharedNames,
    /// The next list of users answers this client, which asked for the names, and not its user.
    awaits_names: bool,
    /// Dropped when the thread ends.
    _done: Sender<()>,
}

impl EventLoop {
    /// Runs until the user leaves or the terminal is closed.
    fn run(mut self, mut connection: Connection) {
        let mut backoff = MIN_BACKOFF;
        loop {
            let connected_at = Instant::now();
            let Ok(reason) = self.print_events(&mut connection) else {
                return;
            };
            drop(connection);
            if connected_at.elapsed() > MAX_BACKOFF {
                backoff = MIN_BACKOFF;
            }
            let unconfirmed = {
                let mut state = self.shared.state();
                if state.closing {
                    return;
                }
                state.command_sender = None;
                std::mem::take(&mut state.unconfirmed)
            };
            self.shared.changed.notify_all();
            self.place.disconnected(unconfirmed, &self.own_name.name);
            let unconfirmed = match unconfirmed {
                0 => String::new(),
                1 => " Your last message might not have arrived.".to_owned(),
                count => format!(" Your last {count} messages might not have arrived."),
            };
            let notice =
                format!("Disconnected: {reason}.{unconfirmed} Reconnecting; Ctrl-D leaves.");
            if self.printer.notice(&notice).is_err() {
                return;
            }
            let Ok(reconnected) = self.reconnect(&mut backoff) else {
                return;
            };
            connection = reconnected;
        }
    }

    /// Prints events until the connection ends. Returns the reason of its end.
    fn print_events(
        &mut self,
        connection: &mut Connection,
    ) -> std::result::Result<Disconnected, TerminalClosed> {
        loop {
            let mut event = match connection.next_event() {
                Ok(event) => event,
                Err(reason) => return Ok(reason),
            };
            if self.learn_names(&event, connection) {
                continue;
            }
            self.regain_name(&event, connection);
            self.own_name.update(&mut event);
            let is_typed = self.place.update(&event, &self.own_name.name);
            if !is_typed {
                self.printer.print(&event, &self.own_name)?;
            }
            if let Some(notice) = self.place.take_notice() {
                self.printer.notice(&notice)?;
            }

            let mut state = self.shared.state();
            match &event {
                ServerEvent::Message { .. } if is_typed && !self.place.is_replaying() => {
                    state.unconfirmed = state.unconfirmed.saturating_sub(1)
                }
                ServerEvent::Renamed { to, .. } if *to != self.own_name.name => {}
                ServerEvent::Welcome { .. }
                | ServerEvent::Renamed { .. }
                | ServerEvent::Error { .. } => {
                    state.name = sanitize(&self.own_name.name)
                        .chars()
                        .take(MAX_NAME_LEN)
                        .collect();
                    state.name_revision += 1;
                    self.shared.changed.notify_all();
                }
                _ => {}
            }
        }
    }

    /// Keeps the names up to date, and asks for those of the users who joined before. Returns true for the answer,
    /// before which the replay has ended.
    fn learn_names(&mut self, event: &ServerEvent<'_>, connection: &Connection) -> bool {
        self.names.lock().update(event);
        match event {
            ServerEvent::Welcome { .. } => {
                let who = ClientCommand::Who {};
                let sent = connection.command_sender().send(&who, Some(Duration::ZERO));
                self.awaits_names = sent.is_ok();
                false
            }
            ServerEvent::Who { .. } => {
                self.place.catch_up();
                std::mem::take(&mut self.awaits_names)
            }
            _ => false,
        }
    }

    /// Requests the lost name when it becomes available. Another user can be faster; the server then refuses the request.
    fn regain_name(&self, event: &ServerEvent<'_>, connection: &Connection) {
        if let Some(name) = self.own_name.lost_and_freed_by(event) {
            let rename = ClientCommand::Rename { name: name.into() };
            // The event loop waits for no server that reads slowly.
            let _ = connection
                .command_sender()
                .send(&rename, Some(Duration::ZERO));
        }
    }

    /// Tries to connect, with increasing delays, until it succeeds.
    fn reconnect(
        &mut self,
        backoff: &mut Duration,
    ) -> std::result::Result<Connection, TerminalClosed> {
        let mut last_error = String::new();
        loop {
            // Leaving ends the process, so this thread need not wake up for it.
            thread::sleep(*backoff);
            *backoff = (*backoff * 2).min(MAX_BACKOFF);
            let name = self.own_name.requested();
            match Connection::open(&self.url, name, &self.place, &mut self.authorization) {
                Ok(connection) => {
                    self.shared.state().command_sender = Some(connection.command_sender());
                    self.printer.notice("Reconnected.")?;
                    return Ok(connection);
                }
                Err(error) => {
                    let error = error.to_string();
                    // Repeating the same error would only fill the screen.
                    if error != last_error {
                        self.printer
                            .notice(&format!("Still disconnected: {error}."))?;
                        last_error = error;
                    }
                }
            }
        }
    }
}
