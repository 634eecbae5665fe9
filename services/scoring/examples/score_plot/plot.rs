//! The scores of three leads over ninety days, as SVG.

use anyhow::Result;
use plotters::prelude::*;
use scoring::model::{DecayedSum, ScoreModel};

/// Days that are shown.
const DAYS: i32 = 90;
const DAY: i64 = 86_400_000_000;

/// A lead, and what happened with it: kind and day.
struct Sample {
    name: &'static str,
    color: RGBColor,
    history: &'static [(&'static str, i64)],
}

const SAMPLES: [Sample; 3] = [
    Sample {
        name: "A deal: calls, meetings, then silence",
        color: RGBColor(27, 94, 160),
        history: &[
            ("EMAIL", 2),
            ("CALL", 5),
            ("MEETING", 12),
            ("CALL", 16),
            ("MEETING", 24),
            ("MEETING", 27),
            ("EMAIL", 31),
        ],
    },
    Sample {
        name: "A newsletter reader: an e-mail each week",
        color: RGBColor(200, 110, 20),
        history: &[
            ("EMAIL", 1),
            ("EMAIL", 8),
            ("EMAIL", 15),
            ("EMAIL", 22),
            ("EMAIL", 29),
            ("EMAIL", 36),
            ("EMAIL", 43),
            ("EMAIL", 50),
            ("EMAIL", 57),
            ("EMAIL", 64),
            ("EMAIL", 71),
            ("EMAIL", 78),
            ("EMAIL", 85),
        ],
    },
    Sample {
        name: "One meeting, won back after two months",
        color: RGBColor(60, 140, 60),
        history: &[("MEETING", 4), ("CALL", 63), ("MEETING", 68), ("CALL", 70)],
    },
];

impl Sample {
    /// The score on each quarter of a day.
    fn curve(&self, model: &ScoreModel) -> Vec<(f64, f64)> {
        (0..=DAYS * 4)
            .map(|quarter| (f64::from(quarter) / 4.0, self.score(model, i64::from(quarter) * DAY / 4)))
            .collect()
    }

    fn score(&self, model: &ScoreModel, now: i64) -> f64 {
        let past = self.history.iter().map(|(kind, day)| (model.points(kind), day * DAY));
        model.activity(DecayedSum::of(model, past.filter(|(_, at)| *at <= now)).at(model, now))
    }
}

/// The picture.
pub fn svg() -> Result<String> {
    let (model, mut text) = (ScoreModel::default(), String::new());
    {
        let area = SVGBackend::with_string(&mut text, (860, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area);
        chart.margin(16).x_label_area_size(40).y_label_area_size(48);
        let mut chart = chart.build_cartesian_2d(0.0..f64::from(DAYS), 0.0..100.0)?;
        chart
            .configure_mesh()
            .x_desc("Day")
            .y_desc("Activity score")
            .x_labels(10)
            .light_line_style(WHITE)
            .draw()?;
        for sample in SAMPLES {
            let style = sample.color.stroke_width(2);
            let line = LineSeries::new(sample.curve(&model), style);
            chart
                .draw_series(line)?
                .label(sample.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        area.present()?;
    }
    Ok(text)
}
