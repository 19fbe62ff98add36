use std::net::SocketAddr;

use super::*;

fn parse(line: &str) -> Result<CliAction, UsageError> {
    CliAction::parse(line.split_whitespace().map(OsString::from))
}

fn config(line: &str) -> Config {
    match parse(line) {
        Ok(CliAction::Run(config, _)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn no_arguments_gives_the_defaults() {
    assert_eq!(config(""), Config::default());
    assert_eq!(Config::default().backlog_limit(), 1 << 20);
}

#[test]
fn every_option_reaches_its_field() {
    let parsed = config(
        "--listen 127.0.0.2:99 --listen unix:/run/chat --max-connections 5 --max-message 1000 --max-backlog 700000 --ping 3 --rate-limit 9 \
         --max-per-address 3 --max-rooms 2 --history 8 --listen-backlog 7 --metrics --secret-file s --writers 4 --trusted-proxy 10.0.0.0/8 --trusted-proxy ::1 --trusted-proxy unix --allow-origin https://a.example --allow-origin https://b.example",
    );
    let expected = Config {
        listen: vec![
            SocketAddr::from(([127, 0, 0, 2], 99)).into(),
            ListenAddress::Unix("/run/chat".into()),
        ],
        max_connections: 5,
        max_per_address: Some(3),
        max_rooms: 2,
        history: 8,
        listen_backlog: 7,
        writers: 4,
        max_message: 1000,
        max_backlog: Some(700_000),
        ping: Some(Duration::from_secs(3)),
        rate_limit: Some(9),
        allow_origin: vec!["https://a.example".into(), "https://b.example".into()],
        secret: Some(Secret::File("s".into())),
        metrics: true,
        trusted_proxy: ["10.0.0.0/8", "::1", "unix"]
            .map(|range| range.parse().expect("a range"))
            .to_vec(),
        #[cfg(feature = "tls")]
        tls: None,
        #[cfg(feature = "cluster")]
        cluster: None,
    };
    assert_eq!(parsed, expected);
    #[cfg(feature = "tls")]
    assert_eq!(
        config("--tls-key k.pem --tls-cert c.pem").tls,
        Some(TlsFiles {
            cert: "c.pem".into(),
            key: "k.pem".into()
        })
    );
    let log = LogConfig {
        level: LevelFilter::Debug,
        file: Some("chat.log".into()),
    };
    let line = "--log-level debug --log-file chat.log";
    assert_eq!(parse(line), Ok(CliAction::Run(Box::default(), log)));
}

#[test]
fn zero_switches_ping_and_rate_limit_off() {
    let parsed = config("--ping 0 --rate-limit 0");
    assert_eq!((parsed.ping, parsed.rate_limit), (None, None));
}

#[test]
fn the_backlog_grows_with_the_largest_message() {
    assert_eq!(
        config("--max-message 16777216").backlog_limit(),
        4 * 16_777_216
    );
}

#[test]
fn invalid_arguments_give_a_one_line_error() {
    for line in [
        "--nonsense",
        "stray",
        "--listen",
        "--listen nowhere",
        "--listen unix:",
        "--listen 127.0.0.1:70000",
        "--max-connections 0",
        "--max-message -1",
        "--max-message 1e3",
        "--max-message 1000000000000000",
        "--max-backlog 10",
        "--ping 1.5",
        "--ping -1",
        "--rate-limit x",
        "--max-per-address x",
        "--max-rooms 501",
        "--history -1",
        "--history 10001",
        "--writers 0",
        "--writers 65",
        "--listen-backlog 0",
        "--listen-backlog 65536",
        "--trusted-proxy localhost",
        "--trusted-proxy 10.0.0.0/33",
        "--log-level loud",
        "--secret-file",
        "--tls-cert c.pem",
        "--tls-key k.pem",
        "--allow-origin chat.example",
        "--allow-origin https://chat.example/",
        "--no\nsense",
    ] {
        let error = CliAction::parse(line.split(' ').map(OsString::from))
            .expect_err(line)
            .to_string();
        assert!(
            !error.contains('\n') && error.len() > 20,
            "{line:?}: {error:?}"
        );
    }
}

#[test]
fn help_fits_a_terminal() {
    for word in ["--help", "-h"] {
        let Ok(CliAction::Print(text)) = parse(word) else {
            panic!("{word} prints no help")
        };
        assert!(text.contains("--allow-origin") && text.lines().all(|line| line.len() <= 80));
    }
    assert_eq!(
        parse("--version"),
        Ok(CliAction::Print("threadchat 0.2.0\n".into()))
    );
}
