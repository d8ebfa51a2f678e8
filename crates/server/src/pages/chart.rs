//! Deliveries over time as a drawing in the page: bars of SVG, placed by attributes, coloured by the style sheet. The same
//! numbers stand in a table beside it.

use abide_core::Timestamp;
use abide_storage::counts::{Point, Step};
use askama::Template;
use askama::filters::HtmlSafe;

use super::when::When;

/// Bars in a chart: hours of a day.
const BARS: i64 = 24;
/// Height of the drawing's field in its own units.
const HEIGHT: u64 = 120;
/// Width of a bar with its gap, and of the bar.
const PITCH: i64 = 26;
const WIDTH: i64 = 20;

/// A chart of the last 24 hours. Written into a template as `{{ chart }}`.
#[derive(Debug, Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    bars: Vec<Bar>,
    top: u64,
    successful: u64,
    failed: u64,
}

/// It escapes what it holds by itself.
impl HtmlSafe for Chart {}

/// An hour.
#[derive(Debug)]
struct Bar {
    at: When,
    hour: String,
    x: i64,
    label: i64,
    is_labelled: bool,
    successful: u64,
    failed: u64,
    good: Span,
    bad: Span,
}

/// A part of a bar: from where, how high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    y: u64,
    height: u64,
}

impl Chart {
    /// The first instant of the oldest bar.
    pub(crate) fn begins(now: Timestamp) -> Timestamp {
        let hour = Step::Hour.millis();
        let this = now.as_millis().div_euclid(hour) * hour;
        Timestamp::from_millis(this - (BARS - 1) * hour)
    }

    /// Of what happened since [`Self::begins`], by the hour.
    pub(crate) fn of(points: &[Point], now: Timestamp) -> Self {
        let begin = Self::begins(now);
        let hours: Vec<_> = (0..BARS)
            .map(|place| {
                let start = begin.plus_millis(place * Step::Hour.millis());
                let end = start.plus_millis(Step::Hour.millis());
                let within =
                    points.iter().filter(|point| start <= point.start && point.start < end);
                let (mut successful, mut failed) = (0, 0);
                for point in within {
                    successful += point.happened.attempts_successful;
                    failed += point.happened.attempts_failed;
                }
                (start, successful, failed)
            })
            .collect();
        let highest = hours.iter().map(|(_, good, bad)| good + bad).max().unwrap_or(0);
        let top = round_up(highest);
        let bars = hours.iter().zip(0..).map(|(&(start, successful, failed), place)| {
            let [good, bad] = spans(successful, failed, top);
            let text = start.to_seconds_text();
            Bar {
                at: When(start),
                hour: text.get(11..16).unwrap_or_default().to_owned(),
                x: 40 + place * PITCH,
                label: 40 + place * PITCH + WIDTH / 2,
                is_labelled: place % 6 == 5,
                successful,
                failed,
                good,
                bad,
            }
        });
        Self {
            bars: bars.collect(),
            top,
            successful: hours.iter().map(|(_, good, _)| good).sum(),
            failed: hours.iter().map(|(_, _, bad)| bad).sum(),
        }
    }
}

/// The bar's good part stands on the ground, the bad one on it. What is there can be seen, however little it is.
fn spans(successful: u64, failed: u64, top: u64) -> [Span; 2] {
    let height = |count: u64| match count {
        0 => 0,
        count => (count * HEIGHT / top).max(2),
    };
    let (good, bad) = (height(successful), height(failed));
    let good = good.min(HEIGHT - bad.min(HEIGHT));
    [Span { y: HEIGHT - good, height: good }, Span { y: HEIGHT - good - bad, height: bad }]
}

/// The next number that reads well on an axis.
fn round_up(count: u64) -> u64 {
    let mut scale = 1;
    loop {
        for step in [4, 6, 10, 20] {
            if count <= step * scale {
                return step * scale;
            }
        }
        scale *= 10;
    }
}

#[cfg(test)]
mod tests {
    use abide_storage::counts::Happened;

    use super::*;

    #[test]
    fn each_hour_has_its_bar_and_the_newest_is_not_over_yet() {
        let now = Timestamp::parse("2026-03-01T13:45:00Z").unwrap();
        let at = |text: &str, good, bad| Point {
            start: Timestamp::parse(text).unwrap(),
            happened: Happened {
                attempts_successful: good,
                attempts_failed: bad,
                ..Happened::default()
            },
        };
        let points = [
            at("2026-02-28T14:00:00Z", 3, 0),
            at("2026-03-01T13:00:00Z", 30, 10),
            at("2026-03-01T13:30:00Z", 0, 20),
        ];
        let chart = Chart::of(&points, now);
        assert_eq!((chart.bars.len(), chart.successful, chart.failed), (24, 33, 30));
        let counts = |place: usize| (chart.bars[place].successful, chart.bars[place].failed);
        assert_eq!((counts(0), counts(1), counts(23)), ((3, 0), (0, 0), (30, 30)));
        assert_eq!((chart.top, chart.bars[23].hour.as_str()), (60, "13:00"));
        let bar = &chart.bars[23];
        assert_eq!((bar.good, bar.bad), (Span { y: 60, height: 60 }, Span { y: 0, height: 60 }));
    }

    #[test]
    fn a_bar_fits_and_is_seen() {
        for (good, bad) in [(0, 0), (1, 0), (0, 1), (1, 999), (999, 1), (500, 500)] {
            let [low, high] = spans(good, bad, round_up(good + bad));
            assert_eq!(low.y + low.height, HEIGHT);
            assert_eq!(high.y + high.height, low.y);
            assert_eq!((low.height > 0, high.height > 0), (good > 0, bad > 0));
        }
        assert_eq!([0, 4, 5, 11, 21, 41].map(round_up), [4, 4, 6, 20, 40, 60]);
    }
}
