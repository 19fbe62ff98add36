//! One chat on several nodes: the chat itself, and what it survives.
//!
//! Without redis-server the tests report that they were skipped, and pass, unless CI is set. They wait more than they
//! compute: with `--test-threads 8` they take a quarter of the time.
#![cfg(feature = "cluster")]

mod support;

#[path = "cluster/behind_nginx.rs"]
mod behind_nginx;
#[path = "cluster/chat.rs"]
mod chat;
#[path = "support/chat_checker.rs"]
mod chat_checker;
#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/crowd.rs"]
mod crowd;
#[path = "support/fault_proxy.rs"]
mod fault_proxy;
#[path = "cluster/log_faults.rs"]
mod log_faults;
#[path = "cluster/names.rs"]
mod names;
#[path = "cluster/network.rs"]
mod network;
#[path = "support/nginx.rs"]
mod nginx;
#[path = "cluster/nodes.rs"]
mod nodes;
#[path = "support/redis.rs"]
mod redis;
#[path = "cluster/redis_faults.rs"]
mod redis_faults;
#[path = "cluster/start.rs"]
mod start;
#[cfg(feature = "client")]
#[path = "support/terminal.rs"]
mod terminal;
#[cfg(feature = "client")]
#[path = "cluster/watchers.rs"]
mod watchers;
