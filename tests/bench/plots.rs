//! Plots of what was measured, as SVG files.

use std::path::Path;

use plotters::prelude::*;

use crate::Result;
use crate::report::Outcome;

/// Fanout's deliveries are shared out among so many.
pub const COST_CLIENTS: [usize; 6] = [10, 30, 100, 300, 1000, 3000];

const SIZE: (u32, u32) = (900, 520);

/// ServerEvent apart by people who see colours differently, too (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// How far the percentiles go: one in 10^5.
const NINES: f64 = 5.0;

/// The spread of delays: each workload's delay over the part of deliveries that took no longer. The axis stretches the
/// slow ones, which a mean hides.
pub fn delays(file: &Path, outcomes: &[Outcome]) -> Result<()> {
    let measured = outcomes.iter().filter(|outcome| !outcome.delays.is_empty());
    let lines: Vec<(&str, Vec<(f64, f64)>)> = measured
        .map(|outcome| {
            // What is rarer than the number of deliveries can tell would be a flat line.
            let most = (outcome.delays.len() as f64).log10().min(NINES);
            let points = (0..=100).map(|step| most * f64::from(step) / 100.0);
            let delay = |nines: f64| {
                let quantile = 1.0 - 10f64.powf(-nines);
                outcome.delays.value_at_quantile(quantile) as f64 / 1e6
            };
            let name = outcome.workload.name;
            (name, points.map(|nines| (nines, delay(nines))).collect())
        })
        .collect();
    let Some((least, most)) = bounds(lines.iter().flat_map(|(_, line)| line)) else {
        return Ok(());
    };
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Delay of a delivery", ("sans-serif", 20))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..NINES, (least / 1.5..most * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("percentile")
        .x_labels(NINES as usize + 1)
        .x_label_formatter(&|nines| percentile(*nines))
        .y_desc("ms")
        .y_label_formatter(&|delay| format!("{delay}"))
        .draw()?;
    for ((name, line), colour) in lines.into_iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(root.present()?)
}

/// The CPU time of a delivery over the number of clients.
pub fn cost(file: &Path, outcomes: &[Outcome]) -> Result<()> {
    let point = |outcome: &Outcome| {
        let clients = *outcome.median.get("clients")?;
        // With fewer clients than it is for, it was not that many deliveries.
        let all = clients == outcome.workload.clients as f64;
        let cpu = *outcome.median.get("cpu_us_per_delivery")?;
        all.then_some((clients, cpu))
    };
    let line: Vec<(f64, f64)> = outcomes.iter().filter_map(point).collect();
    // Without the server's process there is no cost to show.
    let (Some((_, most)), Some(first), Some(last)) = (bounds(&line), line.first(), line.last())
    else {
        return Ok(());
    };
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let caption = format!("CPU time of a delivery, at {}", outcomes[0].workload.what);
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 20))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d((first.0 / 1.2..last.0 * 1.2).log_scale(), 0.0..most * 1.2)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("clients")
        .x_label_formatter(&|clients| format!("{clients:.0}"))
        .y_desc("µs")
        .draw()?;
    let colour = COLOURS[0];
    chart.draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?;
    chart.draw_series(line.iter().map(|&at| Circle::new(at, 4, colour.filled())))?;
    chart.draw_series(line.iter().map(|&at| {
        let above = EmptyElement::at(at);
        above + Text::new(format!("{:.1}", at.1), (-8, -20), ("sans-serif", 14))
    }))?;
    Ok(root.present()?)
}

/// The least and the greatest of the second coordinates.
fn bounds<'a>(points: impl IntoIterator<Item = &'a (f64, f64)>) -> Option<(f64, f64)> {
    points.into_iter().fold(None, |bounds, &(_, y)| {
        let (least, most) = bounds.unwrap_or((y, y));
        Some((least.min(y), most.max(y)))
    })
}

/// 1 is 90 %, 2 is 99 %, and so on.
fn percentile(nines: f64) -> String {
    let digits = (nines.round() as usize).saturating_sub(2);
    format!("{:.digits$} %", 100.0 * (1.0 - 10f64.powf(-nines)))
}
