//! The few words in which PostgreSQL differs from the statements that all databases share.

use std::borrow::Cow;

/// A shared statement as PostgreSQL reads it: numbered values, and no hints for indexes, which its planner chooses.
pub(crate) fn in_postgres(statement: &str) -> Cow<'_, str> {
    if !statement.contains(['?', 'I', 'N', 'C', 'j']) {
        return Cow::Borrowed(statement);
    }
    let mut text = String::with_capacity(statement.len() + 16);
    let mut rest = statement;
    let mut values = 0;
    while let Some(found) = rest.find(['?', '\'', 'I', 'N', 'C', 'i', 'j']) {
        text.push_str(&rest[..found]);
        rest = &rest[found..];
        let begins_word = !text.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        if let Some(after) = rest.strip_prefix('?') {
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            values += 1;
            let own = values.to_string();
            let number = if digits == 0 { own.as_str() } else { &after[..digits] };
            text.push('$');
            text.push_str(number);
            rest = &after[digits..];
        } else if let Some(after) = rest.strip_prefix('\'') {
            let end = after.find('\'').map_or(after.len(), |end| end + 1);
            text.push_str(&rest[..=end]);
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix("INDEXED BY ").filter(|_| begins_word) {
            rest = after.split_once(' ').map_or("", |(_, after)| after);
        } else if let Some(after) = rest.strip_prefix("NOT INDEXED").filter(|_| begins_word) {
            rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix("CROSS JOIN").filter(|_| begins_word) {
            // A hint, too: SQLite keeps the order of such a join.
            text.push_str("JOIN");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("is_right_after(").filter(|_| begins_word) {
            // Several nodes draw keys at once: an event's deliveries stand in an index of their own.
            text.push_str("TRUE");
            rest = after.split_once(')').map_or("", |(_, after)| after);
        } else if let Some(after) = rest.strip_prefix("json_each(").filter(|_| begins_word) {
            // A list of keys.
            let (value, after) = after.split_once(')').unwrap_or((after, ""));
            values += 1;
            let own = values.to_string();
            let number = Some(value.trim_start_matches('?')).filter(|digits| !digits.is_empty());
            let number = number.unwrap_or(&own);
            text.push_str("json_array_elements_text(CAST($");
            text.push_str(number);
            text.push_str(" AS json))");
            rest = after;
        } else {
            let next = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
            text.push_str(&rest[..next]);
            rest = &rest[next..];
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_and_hints_left_out() {
        for (shared, here) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT a FROM b WHERE c = ? AND d = ?", "SELECT a FROM b WHERE c = $1 AND d = $2"),
            ("SELECT ?2, ?1, ?2", "SELECT $2, $1, $2"),
            ("SELECT 'a?b', ?", "SELECT 'a?b', $1"),
            ("SELECT a FROM b INDEXED BY b_by_c WHERE c = ?", "SELECT a FROM b WHERE c = $1"),
            ("SELECT a FROM b INDEXED BY b_by_c", "SELECT a FROM b "),
            ("SELECT a FROM b NOT INDEXED WHERE c = ?", "SELECT a FROM b WHERE c = $1"),
            ("SELECT a FROM b CROSS JOIN c ON d", "SELECT a FROM b JOIN c ON d"),
            ("SELECT a WHERE b = ?1 AND is_right_after(?1)", "SELECT a WHERE b = $1 AND TRUE"),
            ("SELECT a IS NOT NULL", "SELECT a IS NOT NULL"),
            (
                "SELECT 1 WHERE a IN (SELECT CAST(value AS BIGINT) FROM json_each(?3))",
                "SELECT 1 WHERE a IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST($3 AS json)))",
            ),
        ] {
            assert_eq!(in_postgres(shared), here);
        }
    }
}
