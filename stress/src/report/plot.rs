//! A plot of values over time, as SVG.

use std::fmt::Write as _;

use super::shade::Shade;
use crate::view::clock;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;
/// Points of a line at most: more than there are pixels.
const POINTS_MAX: usize = 900;
/// Steps between ticks of time, in seconds.
const TIME_STEPS: [f64; 13] =
    [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0, 43_200.0, 86_400.0];

/// One line.
pub(super) struct Series {
    pub(super) name: String,
    /// Which of the colours of the page, from 1.
    pub(super) colour: usize,
    pub(super) is_dashed: bool,
    /// Seconds and values, in order. A line is broken where there is a hole in time.
    pub(super) points: Vec<(f64, f64)>,
}

/// How values become heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0.
    Linear,
    /// Each step ten times the last.
    Log,
}

/// What one plot shows.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) scale: Scale,
    pub(super) series: Vec<Series>,
    pub(super) shades: &'a [Shade],
    /// The last second.
    pub(super) until: f64,
    /// A hole in time is longer than this many seconds.
    pub(super) hole: f64,
}

/// From values to heights.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Plot<'_> {
    /// The figure, with its legend.
    pub(super) fn html(&self) -> String {
        let axis = Axis::of(self.scale, &self.series);
        let mut svg = String::new();
        let _ = write!(
            svg,
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{} over time, in {}">"#,
            text(self.title),
            text(self.unit)
        );
        self.draw_shades(&mut svg);
        self.draw_axes(&mut svg, &axis);
        for series in &self.series {
            let dashed = if series.is_dashed { " dashed" } else { "" };
            let path = self.path(&axis, &series.points);
            let _ = write!(svg, r#"<path class="line c{}{dashed}" d="{path}"/>"#, series.colour);
        }
        svg.push_str("</svg>");
        let legend = self.series.iter().fold(String::new(), |all, series| {
            let dashed = if series.is_dashed { " dashed" } else { "" };
            all + &format!(r#"<span class="key c{}{dashed}">{}</span>"#, series.colour, text(&series.name))
        });
        format!(
            "<figure><figcaption><b>{}</b> <i>{}</i>{legend}</figcaption>{svg}</figure>\n",
            text(self.title),
            text(self.unit)
        )
    }

    fn draw_shades(&self, svg: &mut String) {
        for shade in self.shades {
            let (from, to) = (self.x(shade.from.max(0.0)), self.x(shade.to));
            let (class, told) = match shade.faults.as_slice() {
                [] => ("judging", "judging".to_owned()),
                faults => ("fault", faults.join(", ")),
            };
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{from:.1}" y="{TOP}" width="{:.1}" height="{:.1}"><title>{} to {}: {}</title></rect>"#,
                (to - from).max(0.5),
                HEIGHT - TOP - BOTTOM,
                clock(shade.from),
                clock(shade.to),
                text(&told)
            );
        }
    }

    fn draw_axes(&self, svg: &mut String, axis: &Axis) {
        for tick in &axis.ticks {
            let y = axis.y(*tick);
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="y" x="{:.1}" y="{:.1}">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                number(*tick)
            );
        }
        let step = TIME_STEPS.into_iter().find(|step| self.until / step <= 10.0).unwrap_or(172_800.0);
        let mut at = 0.0;
        while at <= self.until {
            let x = self.x(at);
            let told = clock(at);
            let told =
                if step >= 60.0 { told.rsplit_once(':').map_or("", |(hours, _)| hours) } else { &told };
            let _ = write!(svg, r#"<text class="x" x="{x:.1}" y="{:.1}">{told}</text>"#, HEIGHT - 8.0);
            at += step;
        }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (seconds / self.until.max(1.0)).clamp(0.0, 1.0)
    }

    fn path(&self, axis: &Axis, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut last = f64::NEG_INFINITY;
        for (seconds, value) in thinned(points) {
            let pen = if seconds - last > self.hole { 'M' } else { 'L' };
            let _ = write!(path, "{pen}{:.1} {:.1}", self.x(seconds), axis.y(value));
            last = seconds;
        }
        path
    }
}

/// So many points that a line has no fewer spikes than before: of each stretch the highest.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let stretch = points.len().div_ceil(POINTS_MAX).max(1);
    let highest = |few: &[(f64, f64)]| few.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.chunks(stretch).filter_map(highest).collect()
}

impl Axis {
    fn of(scale: Scale, series: &[Series]) -> Axis {
        let values = || series.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value));
        let most = values().fold(0.0, f64::max);
        match scale {
            Scale::Linear => {
                let step = round_step(most / 4.0);
                let steps = (most / step).ceil().max(1.0) as u32;
                let ticks: Vec<f64> = (0..=steps).map(|i| f64::from(i) * step).collect();
                Axis { scale, low: 0.0, high: f64::from(steps) * step, ticks }
            }
            Scale::Log => {
                let least = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
                let least = if least.is_finite() { least } else { 1.0 };
                let (low, high) = (least.log10().floor() as i32, most.max(least).log10().ceil() as i32);
                let high = high.max(low + 1);
                let ticks = (low..=high).map(|power| 10f64.powi(power)).collect();
                Axis { scale, low: f64::from(low), high: f64::from(high), ticks }
            }
        }
    }

    fn y(&self, value: f64) -> f64 {
        let value = if self.scale == Scale::Log { value.max(1e-9).log10() } else { value };
        let part = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }
}

/// 1, 2 or 5 times a power of ten, not less than that.
fn round_step(at_least: f64) -> f64 {
    if at_least <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(at_least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= at_least * 0.999)
        .unwrap_or(power)
}

fn number(value: f64) -> String {
    match value {
        big if big >= 10_000.0 => format!("{:.0}k", big / 1000.0),
        some if some >= 1.0 || some == 0.0 => format!("{}", (some * 100.0).round() / 100.0),
        small => format!("{small}"),
    }
}

/// As HTML has it.
pub(super) fn text(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, points: Vec<(f64, f64)>, shades: &[Shade]) -> String {
        let series = vec![Series { name: "p99".into(), colour: 1, is_dashed: false, points }];
        Plot { title: "appends", unit: "ms", scale, series, shades, until: 100.0, hole: 15.0 }.html()
    }

    #[test]
    fn a_line_goes_from_the_axis_to_the_top_and_is_broken_at_holes_in_time() {
        let html = plot(Scale::Linear, vec![(0.0, 0.0), (10.0, 100.0), (50.0, 50.0)], &[]);
        let path = format!("M{LEFT:.1} {:.1}L150.4 {TOP:.1}M504.0 103.0", HEIGHT - BOTTOM);
        assert!(html.contains(&path), "{path} in {html}");
    }

    #[test]
    fn a_logarithmic_axis_has_a_tick_for_each_power_of_ten() {
        let html = plot(Scale::Log, vec![(0.0, 2.0), (10.0, 900.0)], &[]);
        for tick in [">1<", ">10<", ">100<", ">1000<"] {
            assert!(html.contains(tick), "{tick} in {html}");
        }
    }

    #[test]
    fn faults_are_shaded_and_named() {
        let shade = Shade { from: 10.0, to: 20.0, faults: vec!["kill".into(), "a<b".into()] };
        let html = plot(Scale::Linear, vec![(0.0, 1.0)], &[shade]);
        assert!(html.contains(r#"<rect class="fault" x="150.4""#), "{html}");
        assert!(html.contains("<title>0:00:10 to 0:00:20: kill, a&lt;b</title>"), "{html}");
    }

    #[test]
    fn a_spike_survives_thinning() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), 1.0)).collect();
        points[4321].1 = 99.0;
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX, "{}", thin.len());
        assert!(thin.contains(&(4321.0, 99.0)));
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.7, 1.0, 1.3, 23.0, 60.0].map(round_step), [1.0, 1.0, 2.0, 50.0, 100.0]);
    }
}
