//! What is counted, and how it is told to Prometheus.
//!
//! Each worker has [`Counters`] of its own, so that counting is a plain addition; a scrape adds them
//! up. Labels come from closed sets (servers, verdicts, faults, status classes), so nothing that a
//! client sends can make a new series. docs/operate/metrics.md explains each name.

use crate::activity::Phase;
use abide_affinity::Reason;
use abide_framing::Fault;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only one thread writes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds without a locked instruction: there is only one writer.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    pub(crate) fn subtract(&self, less: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(less), Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the duration histogram, in microseconds: from what memory answers to what people
/// give up on.
const DURATION_BOUNDS_US: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// What one worker counted.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) connections_open: Count,
    pub(crate) connections: Count,
    pub(crate) tunnels_open: Count,
    pub(crate) cookies_opened: Count,
    pub(crate) cookies_forged: Count,
    pub(crate) cookies_expired: Count,
    pub(crate) cookies_written: Count,
    pub(crate) retries: Count,
    pub(crate) retries_over_budget: Count,
    pub(crate) sent_bytes: Count,
    /// Requests that the parser itself refused.
    pub(crate) malformed: Count,
    verdicts: [Count; Reason::ALL.len()],
    faults: [Count; Fault::ALL.len()],
    timeouts: [Count; 5],
    durations: [Count; DURATION_BOUNDS_US.len() + 1],
    durations_sum_us: Count,
    /// One for each server, in the order of the configuration, and a last one for answers that the
    /// balancer gave itself.
    servers: Vec<ServerCounters>,
}

#[derive(Debug, Default)]
pub(crate) struct ServerCounters {
    /// Answers by status class, 1xx to 5xx.
    classes: [Count; 5],
    pub(crate) connects: Count,
    pub(crate) connect_failures: Count,
    pub(crate) broken: Count,
}

impl Counters {
    pub(crate) fn new(servers: usize) -> Self {
        Self {
            connections_open: Count::default(),
            connections: Count::default(),
            tunnels_open: Count::default(),
            cookies_opened: Count::default(),
            cookies_forged: Count::default(),
            cookies_expired: Count::default(),
            cookies_written: Count::default(),
            retries: Count::default(),
            retries_over_budget: Count::default(),
            sent_bytes: Count::default(),
            malformed: Count::default(),
            verdicts: Default::default(),
            faults: Default::default(),
            timeouts: Default::default(),
            durations: Default::default(),
            durations_sum_us: Count::default(),
            servers: (0..=servers).map(|_| ServerCounters::default()).collect(),
        }
    }

    pub(crate) fn server(&self, place: usize) -> &ServerCounters {
        &self.servers[place.min(self.servers.len() - 1)]
    }

    /// A request is over: `server` answered it, or the balancer itself.
    pub(crate) fn request(
        &self,
        reason: Reason,
        server: Option<usize>,
        status: u16,
        took: Duration,
    ) {
        self.verdicts[position(&Reason::ALL, &reason)].add(1);
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.server(server.unwrap_or(usize::MAX)).classes[class].add(1);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = DURATION_BOUNDS_US.partition_point(|bound| *bound < micros);
        self.durations[bucket].add(1);
        self.durations_sum_us.add(micros);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.faults[position(&Fault::ALL, &fault)].add(1);
    }

    pub(crate) fn timeout(&self, phase: Phase) {
        self.timeouts[phase as usize].add(1);
    }
}

fn position<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter().position(|known| known == one).unwrap_or(0)
}

/// What is known of one server at the time of a scrape.
#[derive(Debug)]
pub(crate) struct ServerGauges {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) in_flight: u32,
}

/// The text of one scrape (Prometheus exposition format, version 0.0.4).
pub(crate) fn exposition(
    workers: &[std::sync::Arc<Counters>],
    servers: &[ServerGauges],
    log_buffers_dropped: u64,
) -> String {
    let sum = |count: &dyn Fn(&Counters) -> u64| -> u64 { workers.iter().map(|w| count(w)).sum() };
    let mut text = Exposition::default();
    for (name, help, count) in GAUGES {
        text.head(name, "gauge", help);
        text.sample(name, "", sum(&|worker| count(worker).value()));
    }
    for (name, help, count) in TOTALS {
        text.head(name, "counter", help);
        text.sample(name, "", sum(&|worker| count(worker).value()));
    }
    let name = "abide_balancer_log_buffers_dropped_total";
    text.head(
        name,
        "counter",
        "Buffers of access log lines lost because they could not be written",
    );
    text.sample(name, "", log_buffers_dropped);

    let name = "abide_balancer_requests_total";
    text.head(name, "counter", "Requests, by the verdict that chose their server");
    for (place, reason) in Reason::ALL.iter().enumerate() {
        let label = format!("verdict=\"{reason}\"");
        text.sample(name, &label, sum(&|worker| worker.verdicts[place].value()));
    }
    let name = "abide_balancer_refused_total";
    text.head(name, "counter", "Requests refused with 400 before anything was forwarded");
    text.sample(name, "fault=\"malformed\"", sum(&|worker| worker.malformed.value()));
    for (place, fault) in Fault::ALL.iter().enumerate() {
        let label = format!("fault=\"{fault}\"");
        text.sample(name, &label, sum(&|worker| worker.faults[place].value()));
    }
    let name = "abide_balancer_timeouts_total";
    text.head(name, "counter", "Connections and requests that took too long, by what they did");
    for (place, phase) in ["idle", "header", "stall", "response", "tunnel"].iter().enumerate() {
        let label = format!("phase=\"{phase}\"");
        text.sample(name, &label, sum(&|worker| worker.timeouts[place].value()));
    }
    let name = "abide_balancer_sticky_cookies_total";
    text.head(name, "counter", "Sticky cookies presented, by what became of them");
    for (outcome, count) in COOKIES {
        let label = format!("outcome=\"{outcome}\"");
        text.sample(name, &label, sum(&|worker| count(worker).value()));
    }
    durations(&mut text, &sum);
    by_server(&mut text, workers, servers);
    text.0
}

/// One count of a worker.
type Select = fn(&Counters) -> &Count;
/// One count of a worker, for one server.
type SelectOfServer = fn(&ServerCounters) -> &Count;
/// Adds a number up over all workers.
type Sum<'a> = &'a dyn Fn(&dyn Fn(&Counters) -> u64) -> u64;

const GAUGES: [(&str, &str, Select); 2] = [
    ("abide_balancer_connections_open", "Connections of clients", |w| &w.connections_open),
    ("abide_balancer_tunnels_open", "Upgraded connections", |w| &w.tunnels_open),
];

const TOTALS: [(&str, &str, Select); 5] = [
    ("abide_balancer_connections_total", "Connections of clients taken", |w| &w.connections),
    ("abide_balancer_cookies_written_total", "Sticky cookies written", |w| &w.cookies_written),
    ("abide_balancer_retries_total", "Requests sent to another server", |w| &w.retries),
    (
        "abide_balancer_retries_over_budget_total",
        "Requests that failed because the retry budget was spent",
        |w| &w.retries_over_budget,
    ),
    ("abide_balancer_sent_bytes_total", "Bytes of content sent to clients", |w| &w.sent_bytes),
];

const COOKIES: [(&str, Select); 3] = [
    ("opened", |w| &w.cookies_opened),
    ("forged", |w| &w.cookies_forged),
    ("expired", |w| &w.cookies_expired),
];

fn durations(text: &mut Exposition, sum: Sum<'_>) {
    let name = "abide_balancer_request_duration_seconds";
    text.head(name, "histogram", "From the end of a request's fields to the end of its answer");
    let mut below = 0;
    for (place, bound) in DURATION_BOUNDS_US.iter().enumerate() {
        below += sum(&|worker| worker.durations[place].value());
        let label = format!("le=\"{}\"", seconds(*bound));
        text.sample(&format!("{name}_bucket"), &label, below);
    }
    below += sum(&|worker| worker.durations[DURATION_BOUNDS_US.len()].value());
    text.sample(&format!("{name}_bucket"), "le=\"+Inf\"", below);
    let _ = writeln!(text.0, "{name}_sum {}", seconds(sum(&|w| w.durations_sum_us.value())));
    text.sample(&format!("{name}_count"), "", below);
}

/// Microseconds as seconds, exactly.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn by_server(
    text: &mut Exposition,
    workers: &[std::sync::Arc<Counters>],
    servers: &[ServerGauges],
) {
    let name = "abide_balancer_responses_total";
    text.head(name, "counter", "Answers by server and status class; server \"-\" is the balancer");
    for place in 0..=servers.len() {
        let server = servers.get(place).map_or("-", |server| server.name.as_str());
        for class in 0..5 {
            let value = workers.iter().map(|w| w.server(place).classes[class].value()).sum();
            let label = format!("server=\"{server}\",class=\"{}xx\"", class + 1);
            text.sample(name, &label, value);
        }
    }
    let columns: [(&str, &str, SelectOfServer); 3] = [
        ("abide_balancer_connects_total", "Connections opened to a server", |s| &s.connects),
        ("abide_balancer_connect_failures_total", "Connections that a server did not take", |s| {
            &s.connect_failures
        }),
        (
            "abide_balancer_broken_total",
            "Requests that a server broke off before it answered",
            |s| &s.broken,
        ),
    ];
    for (name, help, count) in columns {
        text.head(name, "counter", help);
        for (place, server) in servers.iter().enumerate() {
            let value = workers.iter().map(|worker| count(worker.server(place)).value()).sum();
            text.sample(name, &format!("server=\"{}\"", server.name), value);
        }
    }
    let name = "abide_balancer_server_in_flight";
    text.head(name, "gauge", "Requests and tunnels that a server has now");
    for server in servers {
        text.sample(name, &format!("server=\"{}\"", server.name), u64::from(server.in_flight));
    }
    let name = "abide_balancer_server_state";
    text.head(name, "gauge", "1 for the state that a server is in");
    for server in servers {
        for state in abide_affinity::State::ALL {
            let label = format!("server=\"{}\",state=\"{state}\"", server.name);
            text.sample(name, &label, u64::from(state.as_str() == server.state));
        }
    }
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: u64) {
        let _ = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_scrape_adds_the_workers_up() {
        let workers = [Arc::new(Counters::new(1)), Arc::new(Counters::new(1))];
        for worker in &workers {
            worker.request(Reason::Sticky, Some(0), 200, Duration::from_micros(300));
        }
        workers[0].request(Reason::None, None, 503, Duration::from_mins(1));
        workers[1].fault(Fault::FoldedField);
        workers[1].timeout(Phase::Waiting);
        let servers = [ServerGauges { name: "a".to_owned(), state: "up", in_flight: 3 }];
        let text = exposition(&workers, &servers, 7);
        for line in [
            "abide_balancer_requests_total{verdict=\"sticky\"} 2",
            "abide_balancer_requests_total{verdict=\"moved:down\"} 0",
            "abide_balancer_responses_total{server=\"a\",class=\"2xx\"} 2",
            "abide_balancer_responses_total{server=\"-\",class=\"5xx\"} 1",
            "abide_balancer_refused_total{fault=\"folded_field\"} 1",
            "abide_balancer_timeouts_total{phase=\"response\"} 1",
            "abide_balancer_request_duration_seconds_bucket{le=\"0.00025\"} 0",
            "abide_balancer_request_duration_seconds_bucket{le=\"0.0005\"} 2",
            "abide_balancer_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "abide_balancer_request_duration_seconds_sum 60.0006",
            "abide_balancer_server_state{server=\"a\",state=\"up\"} 1",
            "abide_balancer_server_in_flight{server=\"a\"} 3",
            "abide_balancer_log_buffers_dropped_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
