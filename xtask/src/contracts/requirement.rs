//! Requirements and their ids: `docs/contracts/*.md` read into values, and ids found in text.

use std::fmt;

/// Providers' prefixes, `LD` for legal deadlines, `I` for our invariants, `SW-` for Standard Webhooks.
const PREFIXES: [&str; 7] = ["D", "I", "LD", "P", "SW-", "T", "X"];

/// `P` followed by one of these is a percentile. No list of ours is near that long.
const PERCENTILES: [u8; 4] = [50, 90, 95, 99];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) prefix: &'static str,
    pub(crate) number: u8,
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{}{}", self.prefix, self.number))
    }
}

impl Id {
    /// The whole text is one id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, length) = Self::at_start(text)?;
        (length == text.len()).then_some(id)
    }

    /// The id that `text` starts with, and its length. Numbers have one or two digits, so that
    /// `X509` and `X25519` are words like any other.
    fn at_start(text: &str) -> Option<(Self, usize)> {
        PREFIXES.into_iter().find_map(|prefix| {
            let rest = text.strip_prefix(prefix)?;
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let ends = !rest[digits..].starts_with(crate::source::is_word);
            let plain = (1..=2).contains(&digits) && !rest.starts_with('0') && ends;
            let number = rest[..digits].parse().ok().filter(|_| plain)?;
            let percentile = prefix == "P" && PERCENTILES.contains(&number);
            (!percentile).then_some((Self { prefix, number }, prefix.len() + digits))
        })
    }

    /// The ids in running text.
    pub(crate) fn all_in(text: &str) -> Vec<Self> {
        found_in(text).into_iter().map(|(_, id, _)| id).collect()
    }

    /// The ids that a function's name begins with: `p18_p19_signature_...`.
    pub(crate) fn all_in_name(name: &str) -> Vec<Self> {
        name.split('_')
            .map_while(|part| {
                let part = part.to_uppercase();
                Self::parse(&part).or_else(|| Self::parse(&part.replacen("SW", "SW-", 1)))
            })
            .collect()
    }

    /// Ranges such as `P1-P5` or `P1 to P5`: they hide which requirements a test is about.
    pub(crate) fn ranges_in(text: &str) -> Vec<String> {
        let found = found_in(text);
        let ranges = found.windows(2).filter(|pair| {
            let ((_, first, end), (start, second, _)) = (pair[0], pair[1]);
            let between = text[end..start].trim();
            first.prefix == second.prefix
                && ["-", "\u{2013}", "\u{2014}", "..", "..=", "to", "through"].contains(&between)
        });
        ranges.map(|pair| text[pair[0].0..pair[1].2].to_owned()).collect()
    }
}

/// Ids with where they start and end.
fn found_in(text: &str) -> Vec<(usize, Id, usize)> {
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        if !crate::source::is_word(before)
            && let Some((id, length)) = Id::at_start(&text[at..])
        {
            found.push((at, id, at + length));
        }
        before = character;
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    In,
    NotYet,
    /// Decided against.
    No,
}

#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    pub(crate) id: Id,
    pub(crate) scope: Scope,
    /// File and line.
    pub(crate) place: String,
}

/// Reads the table rows `| id | scope | requirement |` of one file; a row that is none of these
/// is an error in the second list.
pub(crate) fn read(path: &str, text: &str) -> (Vec<Requirement>, Vec<String>) {
    let mut requirements = Vec::new();
    let mut errors = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let place = format!("{path}:{}", index + 1);
        let cells: Vec<&str> = line.trim_matches('|').splitn(3, '|').map(str::trim).collect();
        if cells[0] == "id" || cells[0].trim_matches(['-', ':']).is_empty() {
            continue;
        }
        match row(&cells) {
            Ok((id, scope)) => requirements.push(Requirement { id, scope, place }),
            Err(why) => errors.push(format!("{place}: {why}")),
        }
    }
    (requirements, errors)
}

fn row(cells: &[&str]) -> Result<(Id, Scope), String> {
    let [id, scope, requirement] = cells else {
        return Err("a row has three cells: id, scope, requirement".to_owned());
    };
    let id = Id::parse(id).ok_or_else(|| format!("`{id}` is not an id"))?;
    let scope = match scope.split(':').next().unwrap_or_default().trim() {
        "in" => Scope::In,
        "not yet" => Scope::NotYet,
        "no" => Scope::No,
        other => return Err(format!("{id}: scope is `in`, `not yet` or `no`, not `{other}`")),
    };
    if requirement.is_empty() {
        return Err(format!("{id} says nothing"));
    }
    Ok((id, scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ids: &[Id]) -> String {
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ids_are_whole_words() {
        let text = "T1, (D22) X3's LD4/I5 SW-6; P7. aP8 P9a P10_b P123 X25519 P0 P07 p11 P99 Q1";
        assert_eq!(shown(&Id::all_in(text)), "T1 D22 X3 LD4 I5 SW-6 P7");
    }

    #[test]
    fn a_name_begins_with_its_ids() {
        assert_eq!(shown(&Id::all_in_name("p18_signature_is_hex_of_i64")), "P18");
        assert_eq!(shown(&Id::all_in_name("i7_ld2_sw3_lanes")), "I7 LD2 SW-3");
        assert_eq!(shown(&Id::all_in_name("signs_p18")), "");
        assert_eq!(shown(&Id::all_in_name("p99_stays_low")), "");
    }

    #[test]
    fn ranges_are_found() {
        assert_eq!(Id::ranges_in("P1-P5, P7 to P9"), ["P1-P5", "P7 to P9"]);
        assert_eq!(Id::ranges_in("D1..=D3 and X1\u{2013}X2"), ["D1..=D3", "X1\u{2013}X2"]);
        assert!(Id::ranges_in("P1, P2 and P3; I1 to P3").is_empty());
    }

    #[test]
    fn rows_are_read_and_bad_ones_named() {
        let text = "# Title\n\n| id | scope | requirement |\n| --- | --- | --- |\n\
                    | P1 | in: most of it | Body is a|b |\n| P2 | not yet | Two |\n| P3 | no: why | Three |\n\
                    | P4 | maybe | Four |\n| Z5 | in | Five |\n| P6 | in |\n| P7 | in | |\n";
        let (requirements, errors) = read("p.md", text);
        let scopes: Vec<_> = requirements.iter().map(|one| one.scope).collect();
        assert_eq!(scopes, [Scope::In, Scope::NotYet, Scope::No]);
        assert_eq!(requirements[0].place, "p.md:5");
        assert_eq!(
            errors,
            [
                "p.md:8: P4: scope is `in`, `not yet` or `no`, not `maybe`",
                "p.md:9: `Z5` is not an id",
                "p.md:10: a row has three cells: id, scope, requirement",
                "p.md:11: P7 says nothing",
            ]
        );
    }
}
