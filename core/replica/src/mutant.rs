//! Mistakes that a node can be told to make, so that the simulator shows that it would find them.

/// A mistake.
#[allow(unreachable_pub, reason = "it is shown only with the feature that makes it possible")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// Answers a write before the others hold it.
    AnswersBeforeOthersHoldIt,
    /// Takes a broken connection for death.
    TakesSilenceForDeath,
    /// Reads without a grant.
    ReadsWithoutGrant,
    /// Takes any message for a grant.
    TakesAnyMessageForAGrant,
    /// Shows what is not acknowledged.
    ShowsWhatIsUnderWay,
    /// Claims without asking the others.
    ClaimsWithoutAsking,
    /// Takes changes of a lower reign.
    TakesALowerReign,
    /// Takes changes out of order.
    TakesChangesOutOfOrder,
    /// Takes a node that is being filled for one in sync.
    CountsWhoIsBeingFilled,
    /// Makes a session of a commit to an unknown one.
    CommitsToNothing,
    /// Takes an empty copy for an equal one.
    TrustsAnEmptyCopy,
    /// Takes what another does not hold for ended.
    TakesAbsenceForAnEnd,
    /// Forgets the mark of an end after two seconds.
    ForgetsEndsSoon,
    /// Lists sessions without a grant.
    ListsWithoutGrant,
    /// Lists sessions as changes that are not acknowledged leave them.
    ListsWhatIsUnderWay,
    /// Says that it may be killed if all is well with the slots that it leads.
    JudgesOnlyWhatItLeads,
    /// Says that a session does not exist though another node may hold it.
    TakesDoubtForAbsence,
    /// Takes a new node for an owner before all know it.
    TakesOverBeforeAllKnow,
    /// Takes what was on its disk for all there is.
    MissesNobody,
}

impl Mutant {
    /// All of them.
    #[cfg(feature = "mutants")]
    pub const ALL: [Self; 19] = [
        Self::AnswersBeforeOthersHoldIt,
        Self::TakesSilenceForDeath,
        Self::ReadsWithoutGrant,
        Self::TakesAnyMessageForAGrant,
        Self::ShowsWhatIsUnderWay,
        Self::ClaimsWithoutAsking,
        Self::TakesALowerReign,
        Self::TakesChangesOutOfOrder,
        Self::CountsWhoIsBeingFilled,
        Self::CommitsToNothing,
        Self::TrustsAnEmptyCopy,
        Self::TakesAbsenceForAnEnd,
        Self::ForgetsEndsSoon,
        Self::ListsWithoutGrant,
        Self::ListsWhatIsUnderWay,
        Self::JudgesOnlyWhatItLeads,
        Self::TakesDoubtForAbsence,
        Self::TakesOverBeforeAllKnow,
        Self::MissesNobody,
    ];
}
