//! Plots of the results, as SVG files.

use std::path::Path;

use plotters::prelude::*;

use crate::Result;
use crate::report::Summary;

/// Numbers of clients in the cost plot.
pub const COST_CLIENTS: [usize; 6] = [10, 30, 100, 300, 1000, 3000];

const SIZE: (u32, u32) = (900, 520);

/// The palette of Okabe and Ito, which colour-blind readers can distinguish.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Highest percentile plotted, as its number of nines: 99.999 %.
const MAX_NINES: f64 = 5.0;

/// Plots the distribution of the delays: one line per workload, delay over percentile. The axis stretches the high
/// percentiles, which a mean hides.
pub fn delays(file: &Path, summaries: &[Summary]) -> Result<()> {
    let with_delays = summaries
        .iter()
        .filter(|summary| !summary.delays.is_empty());
    let lines: Vec<(&str, Vec<(f64, f64)>)> = with_delays
        .map(|summary| {
            // Percentiles beyond the resolution of the number of deliveries would be a flat line.
            let max_nines = (summary.delays.len() as f64).log10().min(MAX_NINES);
            let points = (0..=100).map(|step| max_nines * f64::from(step) / 100.0);
            let delay = |nines: f64| {
                let quantile = 1.0 - 10f64.powf(-nines);
                summary.delays.value_at_quantile(quantile) as f64 / 1e6
            };
            let name = summary.workload.name;
            (name, points.map(|nines| (nines, delay(nines))).collect())
        })
        .collect();
    let Some((min, max)) = y_range(lines.iter().flat_map(|(_, line)| line)) else {
        return Ok(());
    };
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Delivery delay", ("sans-serif", 20))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..MAX_NINES, (min / 1.5..max * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("percentile")
        .x_labels(MAX_NINES as usize + 1)
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

/// Plots the CPU time per delivery over the number of clients.
pub fn cost(file: &Path, summaries: &[Summary]) -> Result<()> {
    let point = |summary: &Summary| {
        let clients = *summary.median.get("clients")?;
        // With fewer clients than intended there were fewer deliveries, so the point would not be comparable.
        let is_complete = clients == summary.workload.clients as f64;
        let cpu = *summary.median.get("cpu_us_per_delivery")?;
        is_complete.then_some((clients, cpu))
    };
    let line: Vec<(f64, f64)> = summaries.iter().filter_map(point).collect();
    // The line is empty if the server's process is unknown.
    let (Some((_, max)), Some(first), Some(last)) = (y_range(&line), line.first(), line.last())
    else {
        return Ok(());
    };
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let caption = format!(
        "CPU time per delivery, at {}",
        summaries[0].workload.description
    );
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 20))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d((first.0 / 1.2..last.0 * 1.2).log_scale(), 0.0..max * 1.2)?;
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

/// Returns the minimum and the maximum of the second coordinates.
fn y_range<'a>(points: impl IntoIterator<Item = &'a (f64, f64)>) -> Option<(f64, f64)> {
    points.into_iter().fold(None, |range, &(_, y)| {
        let (min, max) = range.unwrap_or((y, y));
        Some((min.min(y), max.max(y)))
    })
}

/// Formats a percentile given by its number of nines: 1 is 90 %, 2 is 99 %.
fn percentile(nines: f64) -> String {
    let digits = (nines.round() as usize).saturating_sub(2);
    format!("{:.digits$} %", 100.0 * (1.0 - 10f64.powf(-nines)))
}
