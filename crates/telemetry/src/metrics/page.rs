//! A page in Prometheus' text format 0.0.4.

use std::fmt::Write as _;

use prometheus::{
    TextEncoder,
    proto::{Gauge, LabelPair, Metric as Sample, MetricFamily, MetricType},
};

use super::made;

/// The media type of a [`Page`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics, each of which is named once.
#[derive(Debug, Default)]
pub struct Page(Vec<MetricFamily>);

/// One metric, whose samples follow.
#[derive(Debug)]
pub struct Metric<'a>(&'a mut MetricFamily);

impl Page {
    /// The page as it is sent. A metric without samples is named, too, with what it means.
    pub fn into_text(self) -> String {
        let (empty, full): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|family| family.get_metric().is_empty());
        let mut text = made(TextEncoder::new().encode_to_string(&full));
        for family in empty {
            let (name, kind) = (family.name(), format!("{:?}", family.get_field_type()).to_lowercase());
            // The encoder refuses these; a help of ours has nothing to escape. Writing to a String cannot fail.
            _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n", family.help());
        }
        text
    }

    /// A value that goes up and down, and was read elsewhere.
    pub fn gauge(&mut self, name: &str, help: &str) -> Metric<'_> {
        let at = self.0.len();
        self.0.push(family(name, help, MetricType::GAUGE));
        Metric(&mut self.0[at])
    }

    /// A gauge without labels.
    pub fn single(&mut self, name: &str, help: &str, value: i64) {
        self.gauge(name, help).sample(&[], value);
    }

    /// Metrics that count by themselves.
    pub(super) fn extend(&mut self, families: Vec<MetricFamily>) {
        self.0.extend(families);
    }
}

impl Metric<'_> {
    /// One value.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: i64) {
        // What is counted here is far below 2^53.
        self.measure(labels, value as f64);
    }

    /// One value that is no whole number.
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
    fn labels_are_escaped_and_a_metric_without_samples_is_named_too() {
        let mut page = Page::default();
        page.gauge("x", "what x is").sample(&[("l", "a\"b\\c\nd"), ("m", "n")], 7);
        page.gauge("y", "nothing");
        assert_eq!(
            page.into_text(),
            "# HELP x what x is\n# TYPE x gauge\nx{l=\"a\\\"b\\\\c\\nd\",m=\"n\"} 7\n# HELP y nothing\n# TYPE y gauge\n"
        );
    }
}
