//! The table, and the verdict on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::rows::{Figure, Row, Sample};

/// Medians, row by row.
pub(crate) type Results = BTreeMap<Row, Sample>;

/// The whole report as Markdown.
pub(crate) fn report(results: &Results) -> String {
    let mut text = String::from(
        "| row | per second | CPU µs each | p50 ms | p99 ms | max ms | peak MB | |\n\
         |---|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for (row, sample) in results {
        let show = |figure: Figure, digits: usize| {
            sample.get(&figure).map_or_else(String::new, |value| thousands(*value, digits))
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.title(),
            show(Figure::Rate, 0),
            show(Figure::Cpu, 1),
            show(Figure::P50, 2),
            show(Figure::P99, 2),
            show(Figure::Max, 1),
            show(Figure::Memory, 0),
            notes(*row, sample),
        );
    }
    text.push_str("\n| figure | at least | reached | |\n|---|---|---|---|\n");
    for verdict in verdicts(results) {
        let word = if verdict.reached { "yes" } else { "**no**" };
        let _ =
            writeln!(text, "| {} | {} | {} | {word} |", verdict.what, verdict.wanted, verdict.got);
    }
    text
}

fn thousands(value: f64, digits: usize) -> String {
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn get(results: &Results, row: Row, figure: Figure) -> Option<f64> {
    results.get(&row)?.get(&figure).copied()
}

fn notes(row: Row, sample: &Sample) -> String {
    let mut notes = Vec::new();
    if let Some(share) = sample.get(&Figure::Share) {
        let whole = row.limit().map_or("the same without", Row::name);
        notes.push(format!("{share:.2} of {whole}"));
    }
    for (figure, value) in sample {
        match figure {
            Figure::Accepted => notes.push(format!("{} accepted/s", thousands(*value, 0))),
            Figure::Balance if *value < BALANCED => {
                notes.push(format!("**not steady: {value:.2} of the accepted delivered**"));
            }
            Figure::CommitP99 => notes.push(format!("commit p99 {value:.2} ms")),
            Figure::SyncP99 => notes.push(format!("4 KiB sync p99 {value:.2} ms")),
            Figure::Missing => notes.push(format!("{} missing", thousands(*value, 0))),
            Figure::First => notes.push(format!("first after {value:.2} s")),
            Figure::Twice => notes.push(format!("{} twice", thousands(*value, 0))),
            Figure::Owned => notes.push(format!("owned after {value:.2} s")),
            Figure::Sent => notes.push(format!("first sent after {value:.2} s")),
            Figure::P99Without => notes.push(format!("p99 without {value:.2} ms")),
            Figure::Removed => notes.push(format!("{} events/s removed", thousands(*value, 0))),
            _ => {}
        }
    }
    notes.join("; ")
}

/// A rate counts only if what was accepted was delivered too.
const BALANCED: f64 = 0.97;

struct Verdict {
    what: &'static str,
    wanted: String,
    got: String,
    reached: bool,
}

fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (row, what, wanted) in [
        (Row::TwoHop, "the two-hop limit, share of the raw client (else the run is void)", 0.45),
        (Row::Known, "delivered/s, known subjects, share of the two-hop limit", 0.4),
        (Row::New, "the same, all new subjects", 0.25),
        (Row::FanOutFive, "delivered/s, fan-out 5, share of its limit", 0.5),
        (Row::PgKnown, "delivered/s over PostgreSQL, share of the two-hop limit", 0.2),
        (Row::Full, "delivered/s with 10 million rows, share of that without", 0.75),
        (Row::PgFull, "the same over PostgreSQL, of that without there", 0.75),
        (Row::Retention, "delivered/s while retention removes, share of that without", 0.75),
        (Row::PgRetention, "while retention removes over PostgreSQL, likewise", 0.75),
    ] {
        if let Some(share) = get(results, row, Figure::Share) {
            let steady = get(results, row, Figure::Balance).is_none_or(|part| part >= BALANCED);
            verdicts.push(Verdict {
                what,
                wanted: format!("{wanted}"),
                got: format!("{share:.3}"),
                reached: share >= wanted && steady,
            });
        }
    }
    let at = |row, figure| get(results, row, figure);
    if let (Some(own), Some(floor), Some(commit)) = (
        at(Row::Delay, Figure::P99),
        at(Row::TwoHopDelay, Figure::P99),
        at(Row::Delay, Figure::CommitP99),
    ) {
        let most = floor + 2.0 * commit + 1.0;
        verdicts.push(at_most("p99 at 500/s, ms: two hops' + 2 commit p99 + 1", own, most));
    }
    if let (Some(own), Some(healthy), Some(missing)) = (
        at(Row::HalfHang, Figure::P99),
        at(Row::AllHealthy, Figure::P99),
        at(Row::HalfHang, Figure::Missing),
    ) {
        let most = (1.5 * healthy).max(5.0);
        let mut verdict =
            at_most("healthy endpoints' p99 while half hang, ms; none late", own, most);
        verdict.reached &= missing < 1.0;
        let _ = write!(verdict.got, ", {missing:.0} late");
        verdicts.push(verdict);
    }
    let full =
        [Row::Known, Row::NewTen, Row::New, Row::FanOutFive, Row::Batch, Row::Tls, Row::HalfHang];
    let peaks = full.into_iter().filter_map(|row| at(row, Figure::Memory));
    if let Some(peak) = peaks.reduce(f64::max) {
        verdicts.push(at_most("peak memory at full load, MB", peak, 300.0));
    }
    if let (Some(first), Some(memory)) =
        (at(Row::Restart, Figure::First), at(Row::Restart, Figure::Memory))
    {
        verdicts.push(at_most("restart: seconds to the first healthy delivery", first, 2.0));
        verdicts.push(at_most("restart: peak memory, MB", memory, 300.0));
    }
    verdicts.extend(of_nodes(results));
    verdicts
}

/// What several nodes must not do, and how soon one stands in for another.
fn of_nodes(results: &Results) -> Vec<Verdict> {
    let at = |row, figure| get(results, row, figure);
    let mut verdicts = Vec::new();
    if let (Some(twice), Some(missing)) =
        (at(Row::PgTwoNodes, Figure::Twice), at(Row::PgTwoNodes, Figure::Missing))
    {
        let mut verdict = at_most("two nodes: deliveries sent twice; none missing", twice, 0.0);
        verdict.reached &= missing < 1.0;
        let _ = write!(verdict.got, ", {missing:.0} missing");
        verdicts.push(verdict);
    }
    for (figure, what, most) in [
        (Figure::Owned, "takeover: seconds from the lease's end until it is owned", 1.0),
        (Figure::Sent, "takeover: seconds from the lease's end to the first send", 2.0),
    ] {
        verdicts.extend(at(Row::Takeover, figure).map(|own| at_most(what, own, most)));
    }
    let lost = at(Row::Takeover, Figure::Missing);
    verdicts.extend(lost.map(|lost| at_most("takeover: deliveries that never came", lost, 0.0)));
    verdicts
}

fn at_most(what: &'static str, own: f64, most: f64) -> Verdict {
    Verdict {
        what,
        wanted: format!("at most {most:.2}"),
        got: format!("{own:.2}"),
        reached: own <= most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(1_234_567.0, 0), "1,234,567");
        assert_eq!(thousands(999.96, 1), "1,000.0");
        assert_eq!(thousands(12.345, 2), "12.35");
    }

    fn rate(share: f64, balance: f64) -> Sample {
        Sample::from([(Figure::Rate, 50.0), (Figure::Share, share), (Figure::Balance, balance)])
    }

    #[test]
    fn verdicts_follow_from_the_medians() {
        let results = Results::from([(Row::TwoHop, rate(0.5, 1.0)), (Row::Known, rate(0.3, 1.0))]);
        let found: Vec<_> =
            verdicts(&results).iter().map(|one| (one.got.clone(), one.reached)).collect();
        assert_eq!(found, [("0.500".to_owned(), true), ("0.300".to_owned(), false)]);
        assert!(report(&results).contains("0.30 of two-hop"));
    }

    #[test]
    fn what_nodes_do_is_judged_by_counts_and_seconds() {
        let nodes =
            |twice, missing| Sample::from([(Figure::Twice, twice), (Figure::Missing, missing)]);
        let takeover =
            Sample::from([(Figure::Owned, 0.4), (Figure::Sent, 2.5), (Figure::Missing, 1.0)]);
        for (twice, missing, reached) in [(0.0, 0.0, true), (1.0, 0.0, false), (0.0, 1.0, false)] {
            let rows =
                [(Row::PgTwoNodes, nodes(twice, missing)), (Row::Takeover, takeover.clone())];
            let found = verdicts(&Results::from(rows));
            let found: Vec<_> = found.iter().map(|verdict| verdict.reached).collect();
            assert_eq!(found, [reached, true, false, false]);
        }
    }

    #[test]
    fn a_rate_with_a_growing_backlog_reaches_nothing() {
        let results = Results::from([(Row::Known, rate(0.9, 0.9))]);
        assert!(!verdicts(&results)[0].reached);
    }
}
