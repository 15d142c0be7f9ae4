//! The faults, by name, and how they are done.

use std::time::Duration;

use clap::ValueEnum;
use tokio::time::sleep;

use crate::cluster::{Cluster, Loss};
use crate::known::Random;
use crate::process::Failure;
use crate::tally::Tally;

/// From a kill to the start of the next process, where nobody waits for the others to notice.
const EMPTY_AFTER: Duration = Duration::from_millis(300);
/// How long a paused server hangs: longer than any grant lasts.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a cut lasts.
const CUT: Duration = Duration::from_secs(5);

/// What is done to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[non_exhaustive]
pub enum Fault {
    /// kill -9 of a random server; it starts again when the others have taken over
    Kill,
    /// kill -9 of a random server; it starts again, empty, 0.3 s later
    RestartEmpty,
    /// kill -9 of a server, which starts again; the moment another one is safe to stop, kill -9 of that
    SecondKill,
    /// A random server hangs for 3 s (SIGSTOP, SIGCONT)
    Pause,
    /// All servers hang for 3 s and go on, as on a machine that is moved
    Freeze,
    /// Each server in turn: SIGTERM, its end, a new start, /ready
    Rolling,
    /// kill -9 of all servers at once, which keep their sessions on disks; then all start again. Of what was
    /// acknowledged in the last 50 ms nobody promises anything
    KillAll,
    /// One more server, in nobody's list, starts and is ready; kill -9 of a random server; another one is
    /// restarted (SIGTERM) with the list that it had; the first one starts again
    Join,
    /// The network between nodes is cut in two for 5 s; clients are on both sides. It takes root
    Cut,
    /// The same in one direction only: one side hears the other, and is not heard. It takes root
    CutOneWay,
}

impl Fault {
    /// Its name, as it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::RestartEmpty => "restart-empty",
            Self::SecondKill => "second-kill",
            Self::Pause => "pause",
            Self::Freeze => "freeze",
            Self::Rolling => "rolling",
            Self::KillAll => "kill-all",
            Self::Join => "join",
            Self::Cut => "cut",
            Self::CutOneWay => "cut-one-way",
        }
    }

    /// Whether it takes a network that can be cut.
    pub(crate) const fn cuts(self) -> bool {
        matches!(self, Self::Cut | Self::CutOneWay)
    }

    /// Does it.
    pub(crate) async fn strike(
        self,
        cluster: &mut Cluster,
        tally: &Tally,
        random: &mut Random,
    ) -> Result<(), Failure> {
        let count = cluster.listed;
        let server = random.below(count);
        match self {
            Self::Kill => {
                kill(cluster, tally, server).await;
                cluster.noticed(server).await?;
                cluster.restart(server).await
            }
            Self::RestartEmpty => {
                kill(cluster, tally, server).await;
                sleep(EMPTY_AFTER).await;
                cluster.restart(server).await
            }
            Self::SecondKill => {
                let other = (server + 1 + random.below(count - 1)) % count;
                kill(cluster, tally, server).await;
                cluster.restart(server).await?;
                cluster.safe_to_stop(other).await?;
                kill(cluster, tally, other).await;
                cluster.restart(other).await
            }
            Self::Pause => {
                tally.strike(&cluster.servers[server].name);
                let paused = cluster.pause(server).await?;
                sleep(PAUSE).await;
                paused.resume().await?;
                cluster.places.open(server, true);
                Ok(())
            }
            Self::Freeze => freeze(cluster, tally).await,
            Self::Rolling => {
                for server in 0..count {
                    tally.strike(&cluster.servers[server].name);
                    cluster.end(server).await?;
                    cluster.restart(server).await?;
                    cluster.ready(server).await?;
                }
                Ok(())
            }
            Self::KillAll => {
                for server in &cluster.servers {
                    tally.strike(&server.name);
                }
                cluster.kill_all().await;
                cluster.start_servers().await
            }
            Self::Join => join(cluster, tally, server).await,
            Self::Cut => cut(cluster, tally, server, Loss::BothWays).await,
            Self::CutOneWay => {
                let loss = if random.below(2) == 0 { Loss::FromFar } else { Loss::ToFar };
                cut(cluster, tally, server, loss).await
            }
        }
    }
}

async fn kill(cluster: &mut Cluster, tally: &Tally, server: usize) {
    tally.strike(&cluster.servers[server].name);
    cluster.kill(server).await;
}

/// Another server comes, and then those that were there before it go, one after the other.
async fn join(cluster: &mut Cluster, tally: &Tally, server: usize) -> Result<(), Failure> {
    let (joiner, other) = (cluster.listed, (server + 1) % cluster.listed);
    tally.strike(&cluster.servers[joiner].name);
    cluster.end(joiner).await?;
    cluster.restart(joiner).await?;
    cluster.settle().await?;
    kill(cluster, tally, server).await;
    cluster.noticed(server).await?;
    cluster.settle().await?;
    tally.strike(&cluster.servers[other].name);
    cluster.end(other).await?;
    cluster.restart(other).await?;
    cluster.settle().await?;
    cluster.restart(server).await
}

/// This server and those after it are cut off: one of two or three, two of five.
async fn cut(cluster: &Cluster, tally: &Tally, server: usize, loss: Loss) -> Result<(), Failure> {
    let count = cluster.listed;
    let far: Vec<usize> = (0..count / 2).map(|more| (server + more) % count).collect();
    tally.strike(&cluster.servers[server].name);
    cluster.cut(&far, loss).await?;
    sleep(CUT).await;
    cluster.mend(&far, loss).await
}

/// Nobody is asked directly until all go on.
async fn freeze(cluster: &Cluster, tally: &Tally) -> Result<(), Failure> {
    let mut paused = Vec::new();
    let running: Vec<usize> = cluster.running().collect();
    for server in &running {
        tally.strike(&cluster.servers[*server].name);
        paused.push(cluster.pause(*server).await?);
    }
    sleep(PAUSE).await;
    for paused in paused {
        paused.resume().await?;
    }
    for server in running {
        cluster.places.open(server, true);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_typed_by_the_name_that_reports_have() {
        for fault in Fault::value_variants() {
            assert_eq!(Fault::from_str(fault.name(), false), Ok(*fault));
        }
    }
}
