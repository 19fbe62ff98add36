//! The text of `--help`.

/// All options, in lines of at most 80 columns.
pub const HELP: &str = "\
threadchat, a WebSocket chat server on plain threads

Usage: threadchat [OPTION]...

  --listen ADDRESS        address and port to listen on, or unix:PATH; can be
                          repeated [127.0.0.1:8080]
  --listen-backlog N      clients that wait to be accepted [4096]
  --max-connections N     WebSockets at a time; further ones get 503 [1000]
  --max-per-address N     WebSockets from one address, or one /64 of IPv6;
                          further ones get 429; 0: no limit [0]
  --max-rooms N           rooms with users, apart from /chat; for further ones
                          503; 0: only /chat [64]
  --history N             messages that a newcomer to a room receives, of up to
                          1 MiB, or half of --max-backlog [0]
  --max-message BYTES     largest message; a larger one gets Close 1009 [65536]
  --max-backlog BYTES     bytes queued for one client before it is disconnected
                          [1048576, or four of the largest messages]
  --ping SECONDS          idle time before a Ping; after another such period
                          the client is disconnected; 0: never [15]
  --rate-limit N          messages a second for each client, with a burst of N;
                          each KiB of a message counts as one; a faster client
                          is slowed down; 0: no limit [0]
  --writers N             threads that send, for chats with 500 clients and more
                          for each of them on as many processors [1]
  --allow-origin ORIGIN   web pages that can connect, such as
                          https://chat.example; can be repeated [any]
  --secret-file FILE      only clients that know the first line of this file
                          come in; others get 401 [none]
  --trusted-proxy ADDR[/BITS]
                          reverse proxy whose X-Forwarded-For has the address
                          of the client; unix: who connects to a Unix socket;
                          can be repeated [none]
  --tls-cert FILE         certificate in PEM format, followed by those of the
                          authorities between it and a known one [none: no TLS]
  --tls-key FILE          its private key in PEM format [none]
  --cluster ADDRESS       be a node of one chat on several machines, by the
                          Redis or Valkey server at this address:
                          redis://[USER:PASSWORD@]HOST[:PORT][/DB]?name=NODE
                          [none]
  --metrics               serve GET /metrics in Prometheus' text format [off]
  --log-level LEVEL       off, error, warn, info, debug or trace [info]
  --log-file PATH         append the log to this file [stderr]
  --help, --version

SIGINT or SIGTERM stops the server: every client is sent what is queued for it
and a Close. SIGHUP opens the log file and reads the certificate and the secret
again.
Exit code 0: stopped; 1: error; 2: invalid arguments; 130: second signal.
";
