//! The few words in which PostgreSQL differs from the statements that all databases share.

use std::borrow::Cow;

use abide_storage_sql::sql::ValueKind;

/// A shared statement as PostgreSQL reads it: numbered values, and no hints for indexes, which its planner chooses.
pub(crate) fn in_postgres(statement: &str) -> Cow<'_, str> {
    if !statement.contains(['?', 'I', 'N', 'C', 'c', 'j']) {
        return Cow::Borrowed(statement);
    }
    let mut text = String::with_capacity(statement.len() + 16);
    let mut rest = statement;
    let mut values = 0;
    while let Some(found) = rest.find(['?', '\'', 'I', 'N', 'C', 'c', 'i', 'j']) {
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
        } else if let Some(after) = rest.strip_prefix("closed_keys()").filter(|_| begins_word) {
            text.push_str("(SELECT through FROM closed_keys WHERE only_row = 1)");
            rest = after;
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

/// A shared statement for many sets of values at once, each value a list: `INSERT INTO ... VALUES (...)`, `SELECT ... FROM`
/// or `UPDATE ... WHERE`, which then answers the places of the sets that changed something, from 0, where `places` are given
/// as one list more.
pub(crate) fn for_all(statement: &str, kinds: &[ValueKind], places: Places) -> String {
    let text = with_columns(&in_postgres(statement));
    let mut lists = kinds.iter().map(|kind| array_of(*kind)).collect::<Vec<_>>();
    if places == Places::Answered {
        lists.push("bigint[]");
    }
    let names = (1..=lists.len()).map(|place| format!("c{place}")).collect::<Vec<_>>().join(", ");
    let lists = (1..).zip(lists).map(|(place, list)| format!("${place}::{list}"));
    let lists = lists.collect::<Vec<_>>().join(", ");
    let sets = format!("unnest({lists}) AS sets ({names})");
    if let Some((begin, rest)) = text.split_once(" VALUES (")
        && text.starts_with("INSERT")
    {
        let (items, end) = rest.split_at(closing(rest));
        return format!("{begin} SELECT {items} FROM {sets}{}", &end[1..]);
    }
    if text.starts_with("UPDATE")
        && let Some((begin, condition)) = text.split_once(" WHERE ")
    {
        let answer = match places {
            Places::Answered => format!(" RETURNING sets.c{}", kinds.len() + 1),
            Places::NotAsked => String::new(),
        };
        return format!("{begin} FROM {sets} WHERE {condition}{answer}");
    }
    let (begin, rest) = text.split_once(" FROM ").unwrap_or((&text, ""));
    format!("{begin} FROM {sets}, {rest}")
}

/// Whether it is asked which sets changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Places {
    Answered,
    NotAsked,
}

fn array_of(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Integer => "bigint[]",
        ValueKind::Text => "text[]",
        ValueKind::Bytes => "bytea[]",
    }
}

/// `$1` as a column of the sets.
fn with_columns(text: &str) -> String {
    let mut pieces = text.split('$');
    let mut with = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        with.push_str("sets.c");
        with.push_str(piece);
    }
    with
}

/// Where the bracket closes that was opened before the text.
fn closing(text: &str) -> usize {
    let mut open = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// The table that an `INSERT` or an `UPDATE` writes.
pub(crate) fn table_of(statement: &'static str) -> &'static str {
    let rest = statement.strip_prefix("INSERT INTO ").or_else(|| statement.strip_prefix("UPDATE "));
    rest.and_then(|rest| rest.split_once(' ')).map_or(statement, |(table, _)| table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_put_for_many_sets_of_values() {
        use Places::{Answered, NotAsked};
        use ValueKind::{Bytes, Integer, Text};
        for (shared, kinds, places, here) in [
            (
                "INSERT INTO a (b, c, d) VALUES (?, 'x', coalesce(?, 1)) ON CONFLICT (b) DO NOTHING",
                &[Integer, Text][..],
                NotAsked,
                "INSERT INTO a (b, c, d) SELECT sets.c1, 'x', coalesce(sets.c2, 1) \
                 FROM unnest($1::bigint[], $2::text[]) AS sets (c1, c2) ON CONFLICT (b) DO NOTHING",
            ),
            (
                "UPDATE a SET b = ?2 WHERE c = ?1",
                &[Integer, Bytes],
                NotAsked,
                "UPDATE a SET b = sets.c2 FROM unnest($1::bigint[], $2::bytea[]) AS sets (c1, c2) WHERE c = sets.c1",
            ),
            (
                "UPDATE a SET b = 1 WHERE c = ?",
                &[Integer],
                Answered,
                "UPDATE a SET b = 1 FROM unnest($1::bigint[], $2::bigint[]) AS sets (c1, c2) WHERE c = sets.c1 \
                 RETURNING sets.c2",
            ),
            (
                "SELECT b FROM a JOIN d USING (e) WHERE c = ?",
                &[Text],
                NotAsked,
                "SELECT b FROM unnest($1::text[]) AS sets (c1), a JOIN d USING (e) WHERE c = sets.c1",
            ),
        ] {
            assert_eq!(for_all(shared, kinds, places), here);
        }
        assert_eq!(table_of("INSERT INTO a (b) VALUES (?)"), "a");
        assert_eq!(table_of("UPDATE a SET b = ?"), "a");
    }

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
            (
                "SELECT closed_keys() AS c FROM closed_keys",
                "SELECT (SELECT through FROM closed_keys WHERE only_row = 1) AS c FROM closed_keys",
            ),
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
