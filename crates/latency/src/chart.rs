//! One chart and how it is drawn: lines and bands over two axes, light or dark, as SVG or PNG.
//!
//! Knows nothing of latency. No text stands where data is drawn. A PNG is drawn with a font of our own, since the machine may have
//! none; an SVG names the viewer's sans-serif. plotters draws both formats;
//! docs/decisions/012-plots.md says why.

use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, register_font};

use crate::axis::Axis;

/// Lines over two axes.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The beginning of the names of its files.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// A line under the title: what was measured, and how.
    pub subtitle: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Drawn in this order, bands before all of them.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// What the legend calls it; not there where it is empty.
    pub label: String,
    /// Lines that belong together have one colour, from 0.
    pub colour: usize,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Whether its points are marked.
    pub marked: bool,
    /// Positions on both axes, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Around the line, from left to right: a position on the x axis, and the lowest and the highest on
    /// the y axis.
    pub band: Vec<(f64, f64, f64)>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stroke {
    /// As a main line.
    #[default]
    Main,
    /// Paler than the main line of its colour.
    Pale,
    /// Thin and grey: nothing that was measured, but what it is compared with.
    Reference,
}

/// A file to be written.
#[derive(Debug)]
pub struct Drawing {
    /// Its name, with the ending.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Lines of one chart, at most; more cannot be told apart.
pub const LINES_MAX: usize = COLOURS * 2;

/// Colours that can be told apart.
pub const COLOURS: usize = 8;

/// The colours of a chart.
pub(crate) struct Theme {
    pub(crate) name: &'static str,
    ground: RGBColor,
    ink: RGBColor,
    faint: RGBColor,
    grid: RGBColor,
    lines: [RGBColor; COLOURS],
}

const fn rgb(colour: u32) -> RGBColor {
    RGBColor((colour >> 16) as u8, (colour >> 8) as u8, colour as u8)
}

pub(crate) const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        ground: rgb(0xff_ff_ff),
        ink: rgb(0x1f_23_28),
        faint: rgb(0x59_63_6e),
        grid: rgb(0xe3_e7_ec),
        lines: [
            rgb(0x0b_62_d0),
            rgb(0xd0_57_0b),
            rgb(0x1a_7f_4b),
            rgb(0x8a_3f_c7),
            rgb(0xc0_2a_6e),
            rgb(0x0b_7f_8f),
            rgb(0x8a_66_00),
            rgb(0x59_63_6e),
        ],
    },
    Theme {
        name: "dark",
        ground: rgb(0x0d_11_17),
        ink: rgb(0xe6_ed_f3),
        faint: rgb(0x9a_a5_b1),
        grid: rgb(0x26_2c_35),
        lines: [
            rgb(0x58_a6_ff),
            rgb(0xff_9a_4d),
            rgb(0x4a_d1_8b),
            rgb(0xc3_91_ff),
            rgb(0xff_7a_b6),
            rgb(0x4f_d5_e6),
            rgb(0xe3_c1_4f),
            rgb(0xb1_ba_c4),
        ],
    },
];

/// The size at which a chart is meant to be seen, in pixels.
const SIZE: (u32, u32) = (960, 540);

/// An SVG has coordinates of a quarter of a pixel, for plotters rounds them.
const SVG_SCALE: u32 = 4;

/// A PNG has twice the pixels, for fine screens, and is drawn with four times as many and averaged,
/// for smooth edges.
const PNG_SCALE: u32 = 2;
const PNG_OVERSAMPLING: u32 = 2;

/// The bitmap backend centres a text with the room that accents take, so that it hangs too high.
const BITMAP_TEXT_DROP: f64 = 0.16;

/// How much of the grid a band hides.
const BAND_OPACITY: f64 = 0.16;

const FONT: &str = "sans-serif";

/// DejaVu Sans, reduced to what charts write; its licence is beside it.
static FONT_FILE: &[u8] = include_bytes!("../font/dejavu-sans-subset.ttf");

impl Chart {
    /// Its files: SVG and PNG, light and dark.
    ///
    /// # Errors
    ///
    /// When the drawing library fails.
    pub fn draw(&self) -> Result<Vec<Drawing>, String> {
        let mut drawings = Vec::new();
        for theme in &THEMES {
            let name = |ending| format!("{}-{}.{ending}", self.name, theme.name);
            drawings.push(Drawing { name: name("svg"), bytes: self.svg(theme)?.into_bytes() });
            drawings.push(Drawing { name: name("png"), bytes: self.png(theme)? });
        }
        Ok(drawings)
    }

    pub(crate) fn svg(&self, theme: &Theme) -> Result<String, String> {
        let (width, height) = scaled(SVG_SCALE);
        let mut svg = String::new();
        let backend = SVGBackend::with_string(&mut svg, (width, height));
        self.draw_on(&backend.into_drawing_area(), theme, SVG_SCALE, 0.0)?;
        let (shown_width, shown_height) = SIZE;
        Ok(svg.replacen(
            &format!(r#"width="{width}" height="{height}""#),
            &format!(r#"width="{shown_width}" height="{shown_height}""#),
            1,
        ))
    }

    pub(crate) fn png(&self, theme: &Theme) -> Result<Vec<u8>, String> {
        let (width, height) = scaled(PNG_SCALE * PNG_OVERSAMPLING);
        let mut pixels = vec![0; (width * height * 3) as usize];
        let backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
        let scale = PNG_SCALE * PNG_OVERSAMPLING;
        self.draw_on(&backend.into_drawing_area(), theme, scale, BITMAP_TEXT_DROP)?;
        let pixels = averaged(&pixels, width as usize);
        let (width, height) = scaled(PNG_SCALE);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let text = |error: png::EncodingError| error.to_string();
        let mut writer = encoder.write_header().map_err(text)?;
        writer.write_image_data(&pixels).map_err(text)?;
        writer.finish().map_err(text)?;
        Ok(file)
    }

    fn draw_on<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        theme: &Theme,
        scale: u32,
        text_drop: f64,
    ) -> Result<(), String> {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            // A font that is not to be had is an error of the first text.
            let _ = register_font(FONT, FontStyle::Normal, FONT_FILE);
        });
        let pen = Pen { area, theme, scale: f64::from(scale), text_drop };
        area.fill(&theme.ground).map_err(|error| error.to_string())?;
        pen.chart(self)?;
        area.present().map_err(|error| error.to_string())
    }
}

fn scaled(scale: u32) -> (u32, u32) {
    (SIZE.0 * scale, SIZE.1 * scale)
}

/// The picture of half the width and height.
fn averaged(pixels: &[u8], width: usize) -> Vec<u8> {
    let step = PNG_OVERSAMPLING as usize;
    let height = pixels.len() / 3 / width;
    let mut out = Vec::with_capacity(pixels.len() / step / step);
    for rows in pixels.chunks_exact(width * 3 * step).take(height / step) {
        for x in 0..width / step {
            let mut sums = [0_u32; 3];
            for row in rows.chunks_exact(width * 3) {
                for pixel in row[x * step * 3..(x + 1) * step * 3].chunks_exact(3) {
                    sums[0] += u32::from(pixel[0]);
                    sums[1] += u32::from(pixel[1]);
                    sums[2] += u32::from(pixel[2]);
                }
            }
            out.extend(sums.map(|sum| (sum / (step * step) as u32) as u8));
        }
    }
    out
}

/// The place of the plot within the picture.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 28.0;
const BOTTOM: f64 = 62.0;
const TITLE: f64 = 34.0;
const SUBTITLE: f64 = 58.0;
const LEGEND: f64 = 84.0;
const LEGEND_ROW: f64 = 20.0;

/// Draws in pixels of the size that is meant.
struct Pen<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    theme: &'a Theme,
    scale: f64,
    /// How much lower text is set, of its size.
    text_drop: f64,
}

impl<B: DrawingBackend> Pen<'_, B> {
    fn chart(&self, chart: &Chart) -> Result<(), String> {
        let Theme { ink, faint, grid, .. } = self.theme;
        let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
        self.text(&chart.title, (LEFT, TITLE), 20.0, ink, HPos::Left)?;
        self.text(&chart.subtitle, (LEFT, SUBTITLE), 12.5, faint, HPos::Left)?;
        let top = self.legend(chart, width - RIGHT)? + 14.0;
        let (left, right, bottom) = (LEFT, width - RIGHT, height - BOTTOM);
        let x = |value: f64| left + chart.x.place(value) * (right - left);
        let y = |value: f64| bottom - chart.y.place(value) * (bottom - top);
        for (at, label) in &chart.y.ticks {
            self.line(&[(left, y(*at)), (right, y(*at))], grid.stroke_width(self.px(1.0)))?;
            self.text(label, (left - 10.0, y(*at)), 12.0, faint, HPos::Right)?;
        }
        for (at, label) in &chart.x.ticks {
            self.line(&[(x(*at), top), (x(*at), bottom)], grid.stroke_width(self.px(1.0)))?;
            self.text(label, (x(*at), bottom + 16.0), 12.0, faint, HPos::Center)?;
        }
        self.line(&[(left, bottom), (right, bottom)], faint.stroke_width(self.px(1.0)))?;
        self.text(
            &chart.x.label,
            (f64::midpoint(left, right), height - 20.0),
            13.0,
            ink,
            HPos::Center,
        )?;
        self.upright(&chart.y.label, (20.0, f64::midpoint(top, bottom)))?;
        for line in &chart.lines {
            let lows = line.band.iter().map(|(at, low, _)| (x(*at), y(*low)));
            let highs = line.band.iter().rev().map(|(at, _, high)| (x(*at), y(*high)));
            self.band(line, &lows.chain(highs).collect::<Vec<_>>())?;
        }
        for line in &chart.lines {
            let points: Vec<_> =
                line.points.iter().map(|(at, value)| (x(*at), y(*value))).collect();
            self.curve(line, &points)?;
        }
        Ok(())
    }

    /// The labels of the lines under the titles; says where they end.
    fn legend(&self, chart: &Chart, right: f64) -> Result<f64, String> {
        let (mut x, mut y) = (LEFT, LEGEND);
        for line in chart.lines.iter().filter(|line| !line.label.is_empty()) {
            let width = 30.0 + self.width(&line.label, 12.5)?;
            if x > LEFT && x + width > right {
                (x, y) = (LEFT, y + LEGEND_ROW);
            }
            self.curve(line, &[(x, y), (x + 22.0, y)])?;
            self.text(&line.label, (x + 30.0, y), 12.5, &self.theme.ink, HPos::Left)?;
            x += width + 24.0;
        }
        Ok(y)
    }

    fn curve(&self, line: &Line, points: &[(f64, f64)]) -> Result<(), String> {
        let colour = self.theme.lines[line.colour % COLOURS];
        let (colour, width) = match line.stroke {
            Stroke::Main => (colour, 2.25),
            Stroke::Pale => (blend(colour, self.theme.ground), 1.5),
            Stroke::Reference => (self.theme.faint, 1.0),
        };
        self.line(points, colour.stroke_width(self.px(width)))?;
        if line.marked {
            for at in points {
                let dot = Circle::new(self.at(*at), self.px(width + 1.25), colour.filled());
                self.area.draw(&dot).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// The area between the lowest and the highest, of which this is the edge.
    fn band(&self, line: &Line, edge: &[(f64, f64)]) -> Result<(), String> {
        if edge.is_empty() {
            return Ok(());
        }
        let colour = self.theme.lines[line.colour % COLOURS].mix(BAND_OPACITY);
        let edge: Vec<_> = edge.iter().map(|point| self.at(*point)).collect();
        let area = Polygon::new(edge, colour.filled());
        self.area.draw(&area).map_err(|error| error.to_string())
    }

    fn line(&self, points: &[(f64, f64)], style: ShapeStyle) -> Result<(), String> {
        let points: Vec<_> = points.iter().map(|point| self.at(*point)).collect();
        let path = PathElement::new(points, style);
        self.area.draw(&path).map_err(|error| error.to_string())
    }

    fn text(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        colour: &RGBColor,
        anchor: HPos,
    ) -> Result<(), String> {
        let style = self.style(size).color(colour).pos(Pos::new(anchor, VPos::Center));
        let at = self.at((at.0, at.1 + self.text_drop * size));
        let text = Text::new(text.to_owned(), at, style);
        self.area.draw(&text).map_err(|error| error.to_string())
    }

    /// The label of the y axis, read from below.
    fn upright(&self, text: &str, at: (f64, f64)) -> Result<(), String> {
        let font = self.style(13.0).color(&self.theme.ink).transform(FontTransform::Rotate270);
        let text =
            Text::new(text.to_owned(), self.at(at), font.pos(Pos::new(HPos::Center, VPos::Center)));
        self.area.draw(&text).map_err(|error| error.to_string())
    }

    fn style(&self, size: f64) -> TextStyle<'static> {
        (FONT, size * self.scale).into_text_style(self.area)
    }

    fn width(&self, text: &str, size: f64) -> Result<f64, String> {
        let size = self.area.estimate_text_size(text, &self.style(size));
        let (width, _) = size.map_err(|error| error.to_string())?;
        Ok(f64::from(width) / self.scale)
    }

    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn px(&self, width: f64) -> u32 {
        ((width * self.scale).round() as u32).max(1)
    }
}

fn blend(colour: RGBColor, ground: RGBColor) -> RGBColor {
    let mix = |one: u8, other: u8| ((u16::from(one) * 13 + u16::from(other) * 7) / 20) as u8;
    RGBColor(mix(colour.0, ground.0), mix(colour.1, ground.1), mix(colour.2, ground.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let line = |label: &str, stroke, band| Line {
            label: label.to_owned(),
            stroke,
            points: vec![(1.0, 10.0), (2.0, 20.0)],
            band,
            ..Line::default()
        };
        Chart {
            name: "throughput".to_owned(),
            title: "Throughput by connections".to_owned(),
            subtitle: "closed loop".to_owned(),
            x: Axis::steps("connections", &[1.0, 2.0]),
            y: Axis::linear("requests a second", [20.0].into_iter()),
            lines: vec![
                line("offered", Stroke::Reference, Vec::new()),
                line("answered", Stroke::Main, vec![(1.0, 9.0, 12.0), (2.0, 15.0, 20.0)]),
                line("", Stroke::Pale, Vec::new()),
            ],
        }
    }

    #[test]
    fn an_svg_has_its_size_its_text_and_its_bands() {
        let svg = chart().svg(&THEMES[0]).unwrap();
        assert!(svg.starts_with(r#"<svg width="960" height="540""#), "{svg:.80}");
        for text in ["Throughput by connections", "offered", "answered", "requests a second"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text}: {svg}");
        }
        assert_eq!(svg.matches("<polygon").count(), 1);
        // A line of the legend for each line with a label, and the lines themselves.
        let of_data = |colour: &str| svg.matches(colour).count();
        assert_eq!((of_data("#0B62D0"), of_data("#59636E") > 1), (3, true), "{svg}");
    }

    /// Text is of our own font, so a picture has ink where its title is.
    #[test]
    fn text_appears_without_fonts_on_the_machine() {
        let picture = chart().png(&THEMES[0]).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((frame.width, frame.height), (1920, 1080));
        let row = |y: usize| &pixels[y * frame.line_size..(y + 1) * frame.line_size];
        let dark = (50..90).flat_map(row).filter(|channel| **channel < 90).count();
        assert!(dark > 1000, "{dark}");
    }
}
