//! Why a command is not carried out. Each API spells these in its own error vocabulary.

/// A command that is understood but not allowed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A field's value cannot be taken.
    #[error("`{field}` {problem}")]
    Field {
        /// The field as the operation names it (snake_case); in a batch with its position: `consents[3].email`.
        field: String,
        /// What was wrong and what is allowed; never the value itself (I11).
        problem: String,
    },
    /// What was named does not exist in this organization.
    #[error("{0} does not exist")]
    NotFound(
        /// What was looked for, with its article: `a policy`.
        &'static str,
    ),
    /// The command does not fit the present state.
    #[error("{0}")]
    Conflict(String),
}

impl Refusal {
    /// A refused field.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}
