//! What a node is at a moment, for Prometheus.

use std::fmt::Write as _;

use crate::store::NodeStore;

impl NodeStore {
    /// What this node holds and is at this moment, in the text format of Prometheus: for where the metrics of
    /// the app are served, beside those of `abide::Observed`, which prints what it has done
    /// ([`counters`](NodeStore::counters)). Of a node that has stopped there is nothing to say.
    pub async fn metrics(&self) -> String {
        let mut text = String::new();
        let Some(status) = self.status().await else { return text };
        let is_ready = usize::from(self.is_ready().await);
        let is_safe_to_stop = usize::from(self.is_safe_to_stop().await);
        for (name, help, value) in [
            ("abide_node_sessions", "Sessions that it holds, copies included", status.sessions),
            ("abide_node_bytes", "What it holds, in bytes of memory", status.bytes),
            ("abide_node_bytes_max", "Above that it takes no new sessions", status.bytes_max),
            ("abide_node_slots_led", "Slots that it leads, of 4096", status.led),
            ("abide_node_slots_without_leader", "Slots that nobody leads", status.leaderless),
            ("abide_node_missed_nodes", "Nodes that may hold more than its disk", status.missed),
            ("abide_node_ready", "1 if it holds everything that it should", is_ready),
            ("abide_node_safe_to_stop", "1 if nothing is lost if it dies now", is_safe_to_stop),
        ] {
            gauge(&mut text, name, help, value);
        }
        if let Some(expiry) = self.certificate_expiry() {
            let help = "When its certificate expires, in seconds since 1970";
            gauge(
                &mut text,
                "abide_node_certificate_expiry_seconds",
                help,
                expiry.as_millis() / 1000,
            );
        }
        text
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}");
}
