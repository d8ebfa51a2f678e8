//! Subjects: people, named by the organization's own reference. A reference can be personal, so it stands in bodies and
//! never in a path (I14).

pub(crate) mod erase;
