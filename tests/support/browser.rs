//! Chromium, driven over the WebSocket of its DevTools.

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

use super::{Client, TIMEOUT, client};

/// A browser with a fresh profile, both gone at the end.
pub struct Browser {
    child: Child,
    profile: PathBuf,
    devtools: DevTools,
}

/// One page in a window of its own: a page behind another one would not be drawn.
pub struct Page(DevTools);

/// A DevTools WebSocket. It asks one thing at a time.
struct DevTools {
    socket: WebSocket<TcpStream>,
    address: SocketAddr,
    asked: u64,
}

impl Browser {
    /// `None` where there is no Chromium, unless this is CI, which must have one.
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
                eprintln!("skipped: there is no Chromium here");
                return None;
            }
            Err(error) => panic!("Chromium can't be run: {error}"),
        };
        let mut stderr = BufReader::new(child.stderr.take().expect("is piped")).lines();
        let url = stderr
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("DevTools listening on ")?.1.to_owned()))
            .expect("Chromium says where its DevTools are");
        // It stops when nobody takes its complaints.
        thread::spawn(move || stderr.for_each(drop));
        let (address, path) = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split_once('/'))
            .expect("a WebSocket URL");
        let address = address.parse().expect("an address of this machine");
        Some(Browser {
            child,
            profile,
            devtools: DevTools::connect(address, &format!("/{path}")),
        })
    }

    /// Opens a page and waits until it is connected to its chat.
    pub fn chat(&mut self, server: SocketAddr) -> Page {
        let mut page = self.open(server);
        page.until("document.body?.dataset.state === 'connected'");
        page
    }

    /// Opens a page.
    pub fn open(&mut self, server: SocketAddr) -> Page {
        let url = format!("http://{server}/");
        let target = self.devtools.call(
            "Target.createTarget",
            json!({ "url": url, "newWindow": true }),
        );
        let id = target["targetId"].as_str().expect("a new page has an id");
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
        // It has ended, or won't by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

impl Page {
    /// What a command of the DevTools protocol answers.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.0.call(method, parameters)
    }

    /// The value of a JavaScript expression.
    pub fn value(&mut self, expression: &str) -> Value {
        let mut answer = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "returnByValue": true }),
        );
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].take()
    }

    /// Waits until a JavaScript expression is true.
    pub fn until(&mut self, expression: &str) {
        let end = Instant::now() + TIMEOUT;
        while self.value(expression) != Value::Bool(true) {
            if Instant::now() > end {
                let seen = self.value("document.body?.innerText");
                panic!("still not so: {expression}; the page reads {seen:#}");
            }
            thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until the page shows an entry of this kind, which is a class, with this text.
    pub fn sees(&mut self, kind: &str, text: &str) {
        let (kind, text) = (json!(format!("#log .{kind}")), json!(text));
        self.until(&format!(
            "[...document.querySelectorAll({kind})].some(e => e.textContent.includes({text}))"
        ));
    }

    /// Types a line into the field with this id, over what is there, and presses Enter.
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
            socket: connected.expect("the DevTools take connections").socket,
            address,
            asked: 0,
        }
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        let id = self.send(method, parameters);
        loop {
            let message = self.socket.read().expect("the DevTools answer");
            let Message::Text(text) = message else {
                continue;
            };
            let mut answer: Value = serde_json::from_str(&text).expect("the DevTools speak JSON");
            if answer["id"] == json!(id) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn send(&mut self, method: &str, parameters: Value) -> u64 {
        self.asked += 1;
        let request = json!({ "id": self.asked, "method": method, "params": parameters });
        let sent = self.socket.send(Message::text(request.to_string()));
        // A browser that is gone needs no closing.
        assert!(sent.is_ok() || method == "Browser.close", "{sent:?}");
        self.asked
    }
}
