//! `abide node`.

use clap::Args;

/// Run one node that keeps sessions for others, and serves no visitors
///
/// A server of an app keeps sessions itself if it is started with --keep nodes://... (`abide app`, or
/// `abide_node::join` in an app of yours). A node without an app is one more that holds copies: the
/// third of three, on a machine of its own, say. It gives away what it has when it is asked to stop.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    abide keygen > keys     once, the same file for all nodes\n  \
    abide node --name c --keep nodes://a=10.0.0.1:7946,b=10.0.0.2:7946,c=10.0.0.3:7946 --keys-file keys\n  \
    abide node --name c --keep nodes://a=10.0.0.1:7946,c=10.0.0.3:7946 \\\n    \
    --node-cert c.pem --node-key c.key --node-ca ca.pem\n\n\
    What the admin listener answers:\n  \
    GET /health                 200 while it runs\n  \
    GET /ready                  200 when it holds everything that it should, else 503\n  \
    GET /metrics                what it has counted, for Prometheus\n  \
    GET /cluster                what it holds and leads\n  \
    GET /cluster/slots          who leads each of the 4096 slots\n  \
    GET /cluster/safe-to-stop   200 if it may be killed now and nothing is lost, else 503\n  \
    POST /cluster/lost/NAME     says that nothing comes back of that node: nobody waits for it\n\
    All but the first two ask for the token, if there is one; without one the last needs the header\n\
    X-Abide-Admin, which no web page can send.\n\n\
    docs/operate/nodes.md tells how to run a cluster.")]
pub(crate) struct Node {
    /// What it calls itself: one of the names in the list
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// This node and others, of which one runs if any does: nodes://NAME=HOST:PORT,... The variable
    /// `ABIDE_KEEP` may hold it instead
    #[arg(long, value_name = "NODES")]
    pub(crate) keep: Option<String>,
    /// The folder in which it keeps its sessions, so that they are there again when all nodes were down.
    /// It is made if need be; each node needs its own [default: memory alone]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// The keys by which nodes know each other, one a line as `abide keygen` prints them: the first is
    /// shown, all are taken. The variable `ABIDE_KEYS` may hold them instead
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_file: Option<String>,
    #[command(flatten)]
    pub(crate) certificate: NodeCertificate,
    /// Where operators look; port 0 takes a free one. Any address but loopback needs --admin-token-file
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7980")]
    pub(crate) admin: String,
    /// A file whose first line is the token that all but /health and /ready asks for, as
    /// `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<String>,
    /// Stop when standard input ends, as it does when the parent dies.
    #[arg(long, hide = true)]
    pub(crate) exit_with_stdin: bool,
    /// The keys stand on standard input, up to an empty line.
    #[arg(long, hide = true)]
    pub(crate) keys_from_stdin: bool,
}

/// What a node shows to others in place of a secret.
#[derive(Debug, Args)]
pub(crate) struct NodeCertificate {
    /// The certificate that a node shows in place of a secret, then those between it and --node-ca. It has the
    /// node's name as a dNSName in subjectAltName, and an extended key usage, if any, of serverAuth and
    /// clientAuth. New files in the place of these three are used while the node runs
    #[arg(long = "node-cert", value_name = "FILE")]
    pub(crate) cert: Option<String>,
    /// The key of that certificate, which not all users of the machine can read
    #[arg(long = "node-key", value_name = "FILE")]
    pub(crate) key: Option<String>,
    /// The authorities that sign certificates for nodes of this cluster, and for nothing else: whoever has one
    /// can be a node
    #[arg(long = "node-ca", value_name = "FILE")]
    pub(crate) ca: Option<String>,
}

impl NodeCertificate {
    /// As they were typed.
    pub(crate) fn flags(&self) -> [(&'static str, Option<String>); 3] {
        [
            ("node-cert", self.cert.clone()),
            ("node-key", self.key.clone()),
            ("node-ca", self.ca.clone()),
        ]
    }
}
