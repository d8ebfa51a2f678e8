//! The consent ledger: decisions, the permission in force, and what follows from a new decision.

pub mod batch;
pub mod decision;
pub mod hash;
pub mod permission;
pub mod verdict;

pub use batch::{BATCH_EVENT_LIMIT, split_batch};
pub use decision::{
    ConsentPatch, ConsentView, LawfulBasis, NewDecision, PermissionState, SubjectInput,
    SubjectState, Validity,
};
pub use permission::{Candidate, Change, MAX_CANDIDATES, Needed, Standing, decide, grants_in_time};
