//! A page in Prometheus's text format 0.0.4.

use std::fmt::Write as _;

use prometheus::{
    TextEncoder,
    proto::{Gauge, LabelPair, Metric as Sample, MetricFamily, MetricType},
};

use super::expect_valid;

/// The media type of a [`Page`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics, each with its samples.
#[derive(Debug, Default)]
pub struct Page(Vec<MetricFamily>);

/// A metric that samples can be added to.
#[derive(Debug)]
pub struct Metric<'a>(&'a mut MetricFamily);

impl Page {
    /// The text of the page. A metric without samples is listed too, with its help.
    pub fn into_text(self) -> String {
        let (empty, full): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|family| family.get_metric().is_empty());
        let mut text = expect_valid(TextEncoder::new().encode_to_string(&full));
        for family in empty {
            let name = family.name();
            let kind = format!("{:?}", family.get_field_type()).to_lowercase();
            // The encoder refuses metrics without samples. Our help texts need no escaping. Writing to a String cannot fail.
            _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n", family.help());
        }
        text
    }

    /// Adds a gauge without samples.
    pub fn gauge(&mut self, name: &str, help: &str) -> Metric<'_> {
        let at = self.0.len();
        self.0.push(family(name, help, MetricType::GAUGE));
        Metric(&mut self.0[at])
    }

    /// Adds a gauge with one sample and no labels.
    pub fn single(&mut self, name: &str, help: &str, value: i64) {
        self.gauge(name, help).sample(&[], value);
    }

    /// Adds metrics with their samples.
    pub(super) fn extend(&mut self, families: Vec<MetricFamily>) {
        self.0.extend(families);
    }
}

impl Metric<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: i64) {
        // The values are far below 2^53, so the conversion is exact.
        self.measure(labels, value as f64);
    }

    /// Adds a sample that need not be a whole number.
    pub fn measure(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut sample = Sample::from_gauge(gauge);
        sample.set_label(labels.iter().map(|(name, value)| label(name, value)).collect());
        self.0.mut_metric().push(sample);
    }
}

/// A metric without samples.
pub(super) fn family(name: &str, help: &str, kind: MetricType) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_a_metric_without_samples_is_listed() {
        let mut page = Page::default();
        page.gauge("x", "what x is").sample(&[("l", "a\"b\\c\nd"), ("m", "n")], 7);
        page.gauge("y", "nothing");
        assert_eq!(
            page.into_text(),
            "# HELP x what x is\n# TYPE x gauge\nx{l=\"a\\\"b\\\\c\\nd\",m=\"n\"} 7\n# HELP y nothing\n# TYPE y gauge\n"
        );
    }
}
