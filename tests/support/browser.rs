//! Chromium, controlled over its DevTools WebSocket.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::{Client, Line, TIMEOUT, TestServer, Watchdog, client, watchdog};

/// A browser with a new profile, for a test of at most three minutes. Dropping it ends the browser and removes the profile.
pub struct Browser {
    child: Child,
    profile: PathBuf,
    devtools: DevTools,
    _watchdog: Watchdog,
}

/// One page in a window of its own, because Chromium does not render a page in a background tab.
pub struct Page(DevTools);

/// Starts a browser, a server, and a page that has joined its chat. Returns `None` if Chromium is not installed.
pub fn chat_page() -> Option<(Browser, TestServer, Page)> {
    let mut browser = Browser::start()?;
    let server = TestServer::start();
    let page = browser.chat(server.address);
    Some((browser, server, page))
}

/// Ends all connections of the line. The page does not connect again before the test asks it to.
pub fn cut(page: &mut Page, line: &Line) {
    page.value(
        "{ window.setTimer ??= setTimeout; \
         window.setTimeout = (callback, delay) => delay >= 250 ? 0 : setTimer(callback, delay) }",
    );
    line.cut();
    page.wait_until("document.body.dataset.status === 'disconnected'");
}

/// A DevTools WebSocket with at most one call at a time.
struct DevTools {
    socket: WebSocket<TcpStream>,
    address: SocketAddr,
    last_id: u64,
}

impl Browser {
    /// Starts Chromium. Returns `None` if it is not installed, except in CI, where that is an error.
    pub fn start() -> Option<Browser> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let profile = env::temp_dir().join(format!("threadchat-{}-{number}", process::id()));
        let spawned = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                // Certificates of tests are self-signed.
                "--ignore-certificate-errors",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI needs Chromium");
                eprintln!("skipped: Chromium is not installed");
                return None;
            }
            Err(error) => panic!("Chromium does not start: {error}"),
        };
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let url = stderr
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("DevTools listening on ")?.1.to_owned()))
            .expect("Chromium prints the address of its DevTools");
        // Chromium would block if its stderr were not read.
        thread::spawn(move || stderr.for_each(drop));
        let (address, path) = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split_once('/'))
            .expect("the address is a WebSocket URL");
        let address = address
            .parse()
            .expect("the URL has an IP address and a port");
        Some(Browser {
            child,
            profile,
            devtools: DevTools::connect(address, &format!("/{path}")),
            _watchdog: watchdog(180),
        })
    }

    /// Opens a page and waits until it has joined the chat.
    pub fn chat(&mut self, server: SocketAddr) -> Page {
        let mut page = self.open(server);
        page.wait_until("document.body?.dataset.status === 'connected'");
        page
    }

    /// Opens a page.
    pub fn open(&mut self, server: SocketAddr) -> Page {
        self.open_url(&format!("http://{server}/"))
    }

    pub fn open_url(&mut self, url: &str) -> Page {
        let target = self.devtools.call(
            "Target.createTarget",
            json!({ "url": url, "newWindow": true }),
        );
        let id = target["targetId"].as_str().expect("the new page has an id");
        Page(DevTools::connect(
            self.devtools.address,
            &format!("/devtools/page/{id}"),
        ))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.devtools.send("Browser.close", json!({}));
        let end = Instant::now() + TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(std::time::Duration::from_millis(20));
        }
        // Ends a browser that did not close in time.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

impl Page {
    /// Calls a method of the DevTools protocol and returns its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.0.call(method, parameters)
    }

    /// Returns the value of a JavaScript expression.
    pub fn value(&mut self, expression: &str) -> Value {
        let mut response = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "returnByValue": true }),
        );
        let thrown = &response["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        response["result"]["value"].take()
    }

    /// Waits until a JavaScript expression is true.
    pub fn wait_until(&mut self, expression: &str) {
        let end = Instant::now() + TIMEOUT;
        while self.value(expression) != Value::Bool(true) {
            if Instant::now() > end {
                let text = self.value("document.body?.innerText");
                panic!("still not true: {expression}; the page shows {text:#}");
            }
            thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until the log has an entry of this class with this text.
    pub fn wait_for_entry(&mut self, class: &str, text: &str) {
        let (selector, text) = (json!(format!("#log .{class}")), json!(text));
        self.wait_until(&format!(
            "[...document.querySelectorAll({selector})].some(e => e.textContent.includes({text}))"
        ));
    }

    /// Replaces the text of the field with this id, and presses Enter.
    pub fn enter(&mut self, field: &str, line: &str) {
        self.value(&format!(
            "document.getElementById({}).select()",
            json!(field)
        ));
        self.call("Input.insertText", json!({ "text": line }));
        self.press("Enter", 13, "\r");
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str, code: u32, text: &str) {
        let event = |kind| {
            json!({ "type": kind, "key": key, "code": key, "text": text,
                    "windowsVirtualKeyCode": code })
        };
        self.call("Input.dispatchKeyEvent", event("keyDown"));
        self.call("Input.dispatchKeyEvent", event("keyUp"));
    }
}

impl DevTools {
    fn connect(address: SocketAddr, path: &str) -> DevTools {
        let connected = Client::try_connect(address, client::request(address, path));
        DevTools {
            socket: connected
                .expect("the DevTools accept the connection")
                .socket,
            address,
            last_id: 0,
        }
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        let id = self.send(method, parameters);
        loop {
            let message = self.socket.read().expect("the DevTools respond");
            let Message::Text(text) = message else {
                continue;
            };
            let mut response: Value = serde_json::from_str(&text).expect("the response is JSON");
            if response["id"] == json!(id) {
                assert!(response["error"].is_null(), "{method}: {response}");
                return response["result"].take();
            }
        }
    }

    fn send(&mut self, method: &str, parameters: Value) -> u64 {
        self.last_id += 1;
        let request = json!({ "id": self.last_id, "method": method, "params": parameters });
        let sent = self.socket.send(Message::text(request.to_string()));
        // The browser can have exited before it is closed.
        assert!(sent.is_ok() || method == "Browser.close", "{sent:?}");
        self.last_id
    }
}
