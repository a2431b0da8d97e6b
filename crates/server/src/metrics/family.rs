//! Numbers that somebody else keeps, in the form of the registry.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Label names with their values.
pub(super) type Labels<'a> = Vec<(&'a str, String)>;

/// A counter without labels.
pub(super) fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    counters(name, help, [(Vec::new(), value)])
}

/// A counter for each set of labels.
#[expect(clippy::cast_precision_loss, reason = "the registry's numbers are floats")]
pub(super) fn counters<'a>(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a>, u64)>,
) -> MetricFamily {
    let metrics = values.into_iter().map(|(labels, value)| {
        let (mut counter, mut metric) = (Counter::default(), labelled(labels));
        counter.set_value(value as f64);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

/// A gauge without labels.
#[expect(clippy::cast_precision_loss, reason = "the registry's numbers are floats")]
pub(super) fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    gauges(name, help, [(Vec::new(), value as f64)])
}

/// A gauge for each set of labels.
pub(super) fn gauges<'a>(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a>, f64)>,
) -> MetricFamily {
    let metrics = values.into_iter().map(|(labels, value)| {
        let (mut gauge, mut metric) = (Gauge::default(), labelled(labels));
        gauge.set_value(value);
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, metrics.collect())
}

/// The metrics of one name.
pub(super) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn labelled(labels: Labels<'_>) -> Metric {
    let pair = |(name, value): (&str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value);
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(labels.into_iter().map(pair).collect());
    metric
}
