//! Figures as text.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats>, text-based format, version
//! 0.0.4, stored copy read 2026-11-22: `# HELP`, `# TYPE`, then `name{label="value"} number` lines, one family after the other.

use std::fmt::Write as _;

use vault_ipc::metric::{Buckets, Family, Form, Sample};

/// What the text is, for its reader.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes all samples, by family and within it by their labels. What is no sample of a family is left
/// out.
pub(super) fn text(mut samples: Vec<Sample>) -> String {
    samples.sort_by(|one, other| (one.family, &one.labels).cmp(&(other.family, &other.labels)));
    let mut text = String::with_capacity(64 << 10);
    let mut last = None;
    for sample in &samples {
        let Some(family) = sample.family() else { continue };
        let about = family.about();
        if sample.labels.len() != about.labels.len() {
            continue;
        }
        if last != Some(family) {
            last = Some(family);
            head(family, &mut text);
        }
        match (about.form, &sample.buckets) {
            (Form::Counter | Form::Gauge, _) => {
                line(about.name, "", family, sample, None, sample.value, &mut text);
            }
            (Form::Seconds, Some(buckets)) => histogram(family, sample, buckets, 1e9, &mut text),
            (Form::Sizes, Some(buckets)) => histogram(family, sample, buckets, 1.0, &mut text),
            (Form::Seconds | Form::Sizes, None) => {}
        }
    }
    text
}

fn head(family: Family, text: &mut String) {
    let about = family.about();
    let form = match about.form {
        Form::Counter => "counter",
        Form::Gauge => "gauge",
        Form::Seconds | Form::Sizes => "histogram",
    };
    let name = about.name;
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {form}", about.help);
}

/// `scale`: how many of what is counted make one of the unit.
fn histogram(family: Family, sample: &Sample, buckets: &Buckets, scale: f64, text: &mut String) {
    let about = family.about();
    let bounds = about.form.bounds().iter().map(|bound| format!("{}", *bound as f64 / scale));
    let mut count = 0;
    for (bound, of_bucket) in bounds.chain(["+Inf".to_owned()]).zip(&buckets.counts) {
        count += of_bucket;
        line(about.name, "_bucket", family, sample, Some(&bound), count as f64, text);
    }
    line(about.name, "_sum", family, sample, None, buckets.sum as f64 / scale, text);
    line(about.name, "_count", family, sample, None, count as f64, text);
}

fn line(
    name: &str,
    suffix: &str,
    family: Family,
    sample: &Sample,
    bound: Option<&str>,
    value: f64,
    text: &mut String,
) {
    text.push_str(name);
    text.push_str(suffix);
    let own = family.about().labels.iter().copied().zip(sample.labels.iter().map(String::as_str));
    for (place, (label, value)) in own.chain(bound.map(|bound| ("le", bound))).enumerate() {
        text.push(if place == 0 { '{' } else { ',' });
        text.push_str(label);
        text.push_str("=\"");
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                letter => text.push(letter),
            }
        }
        text.push('"');
    }
    if bound.is_some() || !sample.labels.is_empty() {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_ipc::metric::{Family, Histogram, Sample};

    use super::text;

    #[test]
    fn writes_each_family_once_and_sorted() {
        let sizes = Histogram::of_sizes();
        sizes.observe(1);
        sizes.observe(3);
        sizes.observe(9_999);
        let samples = vec![
            Sample::number(Family::SealState, &["unsealed"], 1.0),
            Sample::number(Family::CoreUp, &[], 1.0),
            Sample::number(Family::SealState, &["sealed"], 0.0),
            Sample::histogram(Family::BatchEntries, &["writer"], &sizes),
            Sample { family: 999, ..Sample::default() },
            Sample { labels: vec!["too".into(), "many".into()], ..Sample::default() },
        ];
        let text = text(samples);
        let end = "# HELP countersign_core_up Whether the core answered this scrape in time; without an \
                   answer, what it counts is missing\n\
                   # TYPE countersign_core_up gauge\n\
                   countersign_core_up 1\n\
                   # HELP countersign_seal_state 1 for the state that the vault is in, 0 for the others\n\
                   # TYPE countersign_seal_state gauge\n\
                   countersign_seal_state{state=\"sealed\"} 0\n\
                   countersign_seal_state{state=\"unsealed\"} 1\n";
        assert!(text.ends_with(end), "{text}");
        let begin = "# HELP countersign_batch_entries Entries that one sync has put on disk, by the \
                     core's thread that made it\n\
                     # TYPE countersign_batch_entries histogram\n\
                     countersign_batch_entries_bucket{thread=\"writer\",le=\"1\"} 1\n\
                     countersign_batch_entries_bucket{thread=\"writer\",le=\"2\"} 1\n\
                     countersign_batch_entries_bucket{thread=\"writer\",le=\"4\"} 2\n";
        assert!(text.starts_with(begin), "{text}");
        let end = "_bucket{thread=\"writer\",le=\"4096\"} 2\n\
                   countersign_batch_entries_bucket{thread=\"writer\",le=\"+Inf\"} 3\n\
                   countersign_batch_entries_sum{thread=\"writer\"} 10003\n\
                   countersign_batch_entries_count{thread=\"writer\"} 3\n";
        assert!(text.contains(end), "{text}");
    }

    #[test]
    fn durations_are_in_seconds_and_labels_quoted() {
        let seconds = Histogram::of_seconds();
        seconds.observe_duration(Duration::from_micros(1_500));
        let text = text(vec![Sample::histogram(Family::StageSeconds, &["a\"b\\c\nd"], &seconds)]);
        for line in [
            r#"countersign_stage_seconds_bucket{stage="a\"b\\c\nd",le="0.00001"} 0"#,
            r#"countersign_stage_seconds_bucket{stage="a\"b\\c\nd",le="0.0015"} 1"#,
            r#"countersign_stage_seconds_sum{stage="a\"b\\c\nd"} 0.0015"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }
}
