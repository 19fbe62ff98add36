//! Several nodes: the cost of one chat through Redis, in loads that one server alone has beside it.

use std::time::Duration;

use crate::Result;
use crate::client_pool::ClientPool;
use crate::cluster_faults;
use crate::cluster_nodes::{ClusterNodes, Counters};
use crate::connection::Connection;
use crate::load_generator::{self, LoadModel, WARM_UP};
use crate::progress::Progress;
use crate::report::Summary;
use crate::workload::{Metrics, Round, Scenario, Workload, add_load_metrics};

/// Time after the last handshake until the nodes are idle.
const SETTLE: Duration = Duration::from_millis(500);

/// A load on some nodes.
#[derive(Clone, Copy)]
struct Case {
    workload: Workload,
    model: LoadModel,
    nodes: Nodes,
}

#[derive(Clone, Copy, PartialEq)]
enum Nodes {
    /// One server without Redis.
    Alone,
    One,
    /// Two with half of the clients each.
    Two,
    /// One with the clients, and one without.
    Idle,
}

const fn case(name: &'static str, clients: usize, model: LoadModel, nodes: Nodes) -> Case {
    let description = match nodes {
        Nodes::Alone => "one server without Redis",
        Nodes::One => "one node through Redis",
        Nodes::Two => "two nodes with half of the clients each",
        Nodes::Idle => "one node with the clients, and one without",
    };
    let workload = Workload {
        name,
        description,
        clients,
        stalled_clients: 0,
        scenario: Scenario::Load(model),
    };
    Case {
        workload,
        model,
        nodes,
    }
}

const SATURATED: LoadModel = LoadModel::ClosedLoop { window: 64 };
const PINGPONG: LoadModel = LoadModel::ClosedLoop { window: 1 };
const RATE: LoadModel = LoadModel::OpenLoop {
    per_second: 80.0,
    senders: 10,
};

/// The cases of a round. Those of one load follow each other, [`Nodes::Alone`] first.
const CASES: [Case; 14] = [
    case("saturated alone", 32, SATURATED, Nodes::Alone),
    case("saturated one", 32, SATURATED, Nodes::One),
    case("saturated two", 32, SATURATED, Nodes::Two),
    case("saturated idle", 32, SATURATED, Nodes::Idle),
    case("pingpong alone", 32, PINGPONG, Nodes::Alone),
    case("pingpong one", 32, PINGPONG, Nodes::One),
    case("pingpong two", 32, PINGPONG, Nodes::Two),
    case("pingpong idle", 32, PINGPONG, Nodes::Idle),
    case("few alone", 10, RATE, Nodes::Alone),
    case("few one", 10, RATE, Nodes::One),
    case("few two", 10, RATE, Nodes::Two),
    case("fanout alone", 1000, RATE, Nodes::Alone),
    case("fanout one", 1000, RATE, Nodes::One),
    case("fanout two", 1000, RATE, Nodes::Two),
];

/// Runs all rounds of all cases, interleaved.
pub fn measure(duration: Duration, rounds: usize, progress: &mut Progress) -> Result<Vec<Summary>> {
    let mut results: Vec<Vec<Round>> = CASES.iter().map(|_| Vec::new()).collect();
    let mut faults = Vec::new();
    for round in 1..=rounds {
        let mut alone = Metrics::new();
        for (case, results) in CASES.iter().zip(&mut results) {
            let name = case.workload.name;
            progress.start_step(format!("cluster, {name}, round {round} of {rounds}"));
            let mut result = case.run(duration, progress)?;
            match case.nodes {
                Nodes::Alone => alone.clone_from(&result.metrics),
                _ => compare(&mut result.metrics, &alone),
            }
            results.push(result);
        }
        progress.start_step(format!("cluster, faults, round {round} of {rounds}"));
        faults.push(cluster_faults::measure()?);
    }
    let cases = CASES.iter().zip(results);
    let mut summaries = cases
        .map(|(case, rounds)| Summary::new(case.workload, rounds))
        .collect::<Result<Vec<_>>>()?;
    summaries.push(Summary::new(cluster_faults::WORKLOAD, faults)?);
    Ok(summaries)
}

impl Case {
    fn run(&self, duration: Duration, progress: &mut Progress) -> Result<Round> {
        let Workload { clients, .. } = self.workload;
        let nodes = match self.nodes {
            Nodes::Alone => ClusterNodes::alone(clients),
            Nodes::One => ClusterNodes::start(1, clients)?,
            Nodes::Two | Nodes::Idle => ClusterNodes::start(2, clients)?,
        };
        let with_clients = match self.nodes {
            Nodes::Two => 2,
            _ => 1,
        };
        let mut pool = ClientPool::new()?;
        for count in 0..clients {
            progress.update(|| format!("{count} of {clients} clients"));
            let endpoint = &nodes.servers[count % with_clients].endpoint;
            pool.add(Connection::open(endpoint, None)?)?;
        }
        pool.serve(SETTLE)?;
        let mut before = None;
        let measurement = load_generator::run(&mut pool, self.model, duration, None, |elapsed| {
            if elapsed >= WARM_UP && before.is_none() {
                before = Some(nodes.counters());
            }
        })?;
        let before = before.ok_or("the load has not ended its warm-up")??;
        let used = nodes.counters()?.since(&before);
        let messages = measurement.deliveries as f64 / clients as f64;
        let mut metrics = Metrics::from([
            ("clients", clients as f64),
            ("lost_clients", (clients - pool.len()) as f64),
        ]);
        let seconds = measurement.elapsed.as_secs_f64();
        add_counters(&used, messages, seconds, with_clients, &mut metrics);
        let per_delivery = metrics["node_us_per_message"] / clients as f64;
        metrics.insert("cpu_us_per_delivery", per_delivery);
        nodes.add_memory(&mut metrics);
        let mut notes = Vec::new();
        let delays = add_load_metrics(measurement, &mut metrics, &mut notes);
        Ok(Round {
            metrics,
            delays,
            notes,
        })
    }
}

/// Adds the use of the processes, for each message.
fn add_counters(
    used: &Counters,
    messages: f64,
    seconds: f64,
    with_clients: usize,
    metrics: &mut Metrics,
) {
    let micros = |time: &Duration| time.as_secs_f64() * 1e6;
    let (serving, idle) = used.nodes.split_at(with_clients);
    let serving = serving.iter().map(micros).sum::<f64>() / messages;
    metrics.insert("node_us_per_message", serving);
    metrics.insert("messages_per_s", messages / seconds);
    if used.entries == 0.0 {
        return;
    }
    metrics.extend([
        ("redis_us_per_message", micros(&used.redis) / messages),
        ("redis_us_per_entry", micros(&used.redis) / used.entries),
        ("entries_per_s", used.entries / seconds),
        ("messages_per_entry", messages / used.entries),
    ]);
    if let Some(idle) = idle.first() {
        metrics.insert("idle_node_us_per_message", micros(idle) / messages);
        metrics.insert("idle_node_us_per_entry", micros(idle) / used.entries);
    }
}

/// Adds what Redis costs against one server alone in the same round.
fn compare(metrics: &mut Metrics, alone: &Metrics) {
    let ratio = metrics["deliveries_per_s"] / alone["deliveries_per_s"];
    metrics.insert("deliveries_ratio", ratio);
    for (name, added) in [("p50_us", "added_p50_us"), ("p99_us", "added_p99_us")] {
        metrics.insert(added, metrics[name] - alone[name]);
    }
}
