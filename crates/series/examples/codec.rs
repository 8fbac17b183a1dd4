//! Octets a point and points a second of blocks of camera metrics, by points a block:
//! `cargo run --release -p camcount-series --example codec`

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use camcount_series::block::{Block, Builder, Number, Point};

const DAY: i64 = 86_400;
const SECOND: i64 = 1_000_000;
/// 2026-01-01 in microseconds since 2000.
const START: i64 = 820_540_800 * SECOND;
/// Each measurement is the best of so many.
const ROUNDS: usize = 7;

/// A generator of numbers from 0 to 1 (Marsaglia, "Xorshift RNGs", 2003).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn series(name: &str) -> Result<Vec<Point<'static>>, String> {
    let mut random = Uniform(0x9E37_79B9_7F4A_7C15);
    let mut measure: Box<dyn FnMut(i64) -> (f64, u16, &'static str)> = match name {
        "occupancy" => Box::new(move |second| {
            let wave = 15.0 * (second as f64 / 3600.0).sin();
            ((20.0 + wave + 6.0 * random.next() - 3.0).round().max(0.0), 0, "people")
        }),
        "latency_ms" => Box::new(move |_| (((12.0 + 3.0 * random.next()) * 100.0).round(), 2, "ms")),
        _ => return Err(format!("there is no series {name}")),
    };
    let point = |second| {
        let (mantissa, scale, unit) = measure(second);
        let value = Some(Number::Decimal { mantissa: mantissa as i64, scale });
        Point { at: START + second * SECOND, value, unit: Some(unit), ..Point::default() }
    };
    Ok((0..DAY).map(point).collect())
}

fn blocks(points: &[Point<'_>], size: usize) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut blocks = Vec::new();
    for points in points.chunks(size) {
        let mut builder = Builder::new();
        points.iter().try_for_each(|point| builder.push(point))?;
        blocks.push(builder.finish());
    }
    Ok(blocks)
}

/// What an aggregate reads: times, and whole numbers of one scale.
fn sum_columns(blocks: &[Vec<u8>]) -> Result<i64, Box<dyn Error>> {
    let mut sum = 0;
    for block in blocks {
        let block = Block::read(block)?;
        let decimals = block.decimals().ok_or("the values have no scale in common")?;
        let rows = block.times().iter().zip(decimals.mantissas);
        sum += rows.filter(|(at, _)| **at >= START).map(|(_, mantissa)| mantissa).sum::<i64>();
    }
    Ok(sum)
}

fn sum_points(blocks: &[Vec<u8>]) -> Result<i64, Box<dyn Error>> {
    let mut sum = 0;
    for block in blocks {
        for point in Block::read(block)?.points() {
            if let Point { value: Some(Number::Decimal { mantissa, .. }), unit: Some(_), .. } =
                black_box(point)
            {
                sum += mantissa;
            }
        }
    }
    Ok(sum)
}

/// Millions of points a second, at best.
fn rate<T>(mut work: impl FnMut() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut best: f64 = 0.0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        black_box(work()?);
        best = best.max(DAY as f64 / 1e6 / start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("series      points/block  octets/point  build M/s  columns M/s  points M/s");
    for size in [900, 3_600, 8_192, 10_800, 14_400, 16_384, 21_600, 32_768, 43_200, 65_536] {
        for name in ["occupancy", "latency_ms"] {
            let points = series(name)?;
            let blocks = blocks(&points, size)?;
            let octets = blocks.iter().map(Vec::len).sum::<usize>() as f64 / DAY as f64;
            assert_eq!(sum_columns(&blocks)?, sum_points(&blocks)?);
            let build = rate(|| self::blocks(&points, size))?;
            let columns = rate(|| sum_columns(&blocks))?;
            let each = rate(|| sum_points(&blocks))?;
            println!("{name:<12}{size:>12}{octets:>14.4}{build:>11.1}{columns:>13.1}{each:>12.1}");
        }
    }
    Ok(())
}
