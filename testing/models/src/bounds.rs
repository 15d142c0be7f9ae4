//! What may happen in a model, and how often.

use std::fmt;

use abide_replica::Mutant;

/// What may happen in a model, and how often: each of it at any time, and in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many nodes; the first of them owns the slot.
    pub nodes: usize,
    /// Whether the last node owns the slot instead. Of two reigns or stamps of one number that of the
    /// later node is the higher.
    pub is_reversed: bool,
    /// How often the field is set, at any node.
    pub puts: usize,
    /// How often the session is ended, at any node.
    pub ends: usize,
    /// How often it is loaded, at any node. Beyond that, in every state every node is asked for it, and
    /// what it would answer at once is checked.
    pub loads: usize,
    /// How often paths are cut, one or both of a pair, or all of a node. All are healed at once.
    pub cuts: usize,
    /// How often a connection breaks.
    pub breaks: usize,
    /// How often a process is killed. Another may start on its machine at any time, and holds nothing.
    pub kills: usize,
    /// How often a process is stopped for a while.
    pub pauses: usize,
    /// How many of the last four together.
    pub faults: usize,
    /// For how many steps of time paths are cut at most. Of three nodes one that another can not reach may
    /// claim the slot of that one again and again, in ever later reigns, for as long as a cut lasts.
    pub cut_steps: Option<u8>,
    /// Whether pings and their answers may be held up by other letters, and nodes wake in any order.
    /// Otherwise they arrive as soon as they can.
    pub is_fine: bool,
    /// A mistake that the nodes make.
    pub mutant: Option<Mutant>,
}

/// Longer than it takes until who is cut off is silent, the slot is claimed, and the claim is refused or not.
const CUT_STEPS: u8 = 16;

impl Bounds {
    /// So many nodes, one write, and nothing goes wrong.
    pub const fn calm(nodes: usize) -> Self {
        Self {
            nodes,
            is_reversed: false,
            puts: 1,
            ends: 0,
            loads: 0,
            cuts: 0,
            breaks: 0,
            kills: 0,
            pauses: 0,
            faults: usize::MAX,
            cut_steps: if nodes > 2 { Some(CUT_STEPS) } else { None },
            is_fine: false,
            mutant: None,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes", self.nodes)?;
        for (count, what) in [
            (self.puts, "writes"),
            (self.ends, "ends"),
            (self.loads, "loads"),
            (self.cuts, "cuts"),
            (self.breaks, "breaks"),
            (self.kills, "kills"),
            (self.pauses, "pauses"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if let Some(steps) = self.cut_steps.filter(|_| self.cuts > 0) {
            write!(f, " of {steps} steps of time at most")?;
        }
        if self.faults < self.cuts + self.breaks + self.kills + self.pauses {
            write!(f, ", {} faults in all", self.faults)?;
        }
        f.write_str(if self.is_reversed { ", the last node owns" } else { "" })?;
        f.write_str(if self.is_fine { ", pings in any order" } else { "" })?;
        self.mutant.map_or(Ok(()), |mutant| write!(f, ", mutant {mutant:?}"))
    }
}
