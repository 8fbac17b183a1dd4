//! A Kalman filter for a box, in continuous time.
//!
//! Centre coordinates move with constant velocity disturbed by white-noise acceleration; width and height wander
//! (Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, section 6.2). The
//! four coordinates are independent of each other, so the usual 8×8 filter falls apart into four small ones with the
//! same result. As the model is in continuous time, predicting once over the sum of two time steps equals predicting
//! twice: a stream may lose frames or change its rate.

use serde::{Deserialize, Serialize};

use crate::geometry::{BBox, Point};

/// How far a box and its detection stray, as standard deviations relative to the box's own size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Error of a detected centre, in box widths (x) and heights (y).
    pub position: f64,
    /// Error of a detected width or height, in box widths and heights.
    pub size: f64,
    /// Change of velocity within one second, in box sizes per second.
    pub acceleration: f64,
    /// Change of size within one second, in box sizes.
    pub growth: f64,
    /// Speed of an object just found, in box sizes per second.
    pub initial_speed: f64,
}

/// A coordinate with its velocity (units per second) and their covariance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Moving {
    at: f64,
    velocity: f64,
    var_at: f64,
    covar: f64,
    var_velocity: f64,
}

impl Moving {
    fn new(at: f64, sd_at: f64, sd_velocity: f64) -> Self {
        Self { at, velocity: 0.0, var_at: sd_at * sd_at, covar: 0.0, var_velocity: sd_velocity * sd_velocity }
    }

    fn predict(&mut self, dt: f64, sd_acceleration: f64) {
        let q = sd_acceleration * sd_acceleration;
        self.at += self.velocity * dt;
        self.var_at += dt * (2.0 * self.covar + dt * self.var_velocity) + q * dt * dt * dt / 3.0;
        self.covar += dt * self.var_velocity + q * dt * dt / 2.0;
        self.var_velocity += q * dt;
    }

    fn update(&mut self, seen: f64, sd: f64) {
        let total = self.var_at + sd * sd;
        if total <= 0.0 {
            self.at = seen;
            return;
        }
        let (gain_at, gain_velocity) = (self.var_at / total, self.covar / total);
        let surprise = seen - self.at;
        self.at += gain_at * surprise;
        self.velocity += gain_velocity * surprise;
        self.var_velocity -= gain_velocity * self.covar;
        self.covar *= 1.0 - gain_at;
        self.var_at *= 1.0 - gain_at;
    }
}

/// A width or height, which wanders.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Wandering {
    at: f64,
    var: f64,
}

impl Wandering {
    fn update(&mut self, seen: f64, sd: f64) {
        let total = self.var + sd * sd;
        if total <= 0.0 {
            self.at = seen;
            return;
        }
        let gain = self.var / total;
        self.at += gain * (seen - self.at);
        self.var *= 1.0 - gain;
    }
}

/// The estimate of one box at one moment. The caller keeps the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxFilter {
    x: Moving,
    y: Moving,
    w: Wandering,
    h: Wandering,
}

impl BoxFilter {
    /// Starts from a first sighting.
    pub fn new(seen: &BBox, noise: &Noise) -> Self {
        let center = seen.center();
        Self {
            x: Moving::new(center.x, noise.position * seen.w, noise.initial_speed * seen.w),
            y: Moving::new(center.y, noise.position * seen.h, noise.initial_speed * seen.h),
            w: Wandering { at: seen.w, var: (noise.size * seen.w).powi(2) },
            h: Wandering { at: seen.h, var: (noise.size * seen.h).powi(2) },
        }
    }

    /// The estimate `dt` seconds on (0 or more), with nothing seen in between.
    pub fn predicted(&self, dt: f64, noise: &Noise) -> Self {
        let mut next = *self;
        next.x.predict(dt, noise.acceleration * self.w.at);
        next.y.predict(dt, noise.acceleration * self.h.at);
        next.w.var += (noise.growth * self.w.at).powi(2) * dt;
        next.h.var += (noise.growth * self.h.at).powi(2) * dt;
        next
    }

    /// Takes in a sighting at the filter's present moment.
    pub fn update(&mut self, seen: &BBox, noise: &Noise) {
        let center = seen.center();
        let (w, h) = (self.w.at, self.h.at);
        self.x.update(center.x, noise.position * w);
        self.y.update(center.y, noise.position * h);
        self.w.update(seen.w, noise.size * w);
        self.h.update(seen.h, noise.size * h);
    }

    /// The estimated box; width and height are never negative.
    pub fn bbox(&self) -> BBox {
        let (w, h) = (self.w.at.max(0.0), self.h.at.max(0.0));
        BBox { x: self.x.at - w / 2.0, y: self.y.at - h / 2.0, w, h }
    }

    /// Velocity of the centre, in picture widths (x) and heights (y) per second.
    pub fn velocity(&self) -> Point {
        Point { x: self.x.velocity, y: self.y.velocity }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOISE: Noise =
        Noise { position: 0.1, size: 0.08, acceleration: 0.5, growth: 0.1, initial_speed: 2.0 };

    fn walker(x: f64) -> BBox {
        BBox { x, y: 0.4, w: 0.05, h: 0.2 }
    }

    /// A filter that has seen somebody walk to the right at 0.1 picture widths a second.
    fn settled(frames: u32) -> BoxFilter {
        let mut filter = BoxFilter::new(&walker(0.1), &NOISE);
        for frame in 1..=frames {
            filter = filter.predicted(0.1, &NOISE);
            filter.update(&walker(0.1 + 0.01 * f64::from(frame)), &NOISE);
        }
        filter
    }

    fn numbers(filter: &BoxFilter) -> [f64; 14] {
        let (x, y, w, h) = (filter.x, filter.y, filter.w, filter.h);
        let [x, y] = [x, y].map(|m| [m.at, m.velocity, m.var_at, m.covar, m.var_velocity]);
        [x[0], x[1], x[2], x[3], x[4], y[0], y[1], y[2], y[3], y[4], w.at, w.var, h.at, h.var]
    }

    proptest! {
        #[test]
        fn predicting_in_two_steps_is_predicting_once(frames in 0u32..20, one in 0.0..2.0f64, two in 0.0..2.0f64) {
            let filter = settled(frames);
            let (stepwise, at_once) =
                (filter.predicted(one, &NOISE).predicted(two, &NOISE), filter.predicted(one + two, &NOISE));
            for (a, b) in numbers(&stepwise).into_iter().zip(numbers(&at_once)) {
                prop_assert!((a - b).abs() <= 1e-9 * (1.0 + a.abs()), "{a} and {b}");
            }
        }
    }

    #[test]
    fn doubt_grows_while_nothing_is_seen_and_shrinks_with_a_sighting() {
        let filter = settled(30);
        let later = filter.predicted(1.0, &NOISE);
        assert!(later.x.var_at > filter.x.var_at && later.w.var > filter.w.var);
        let mut seen = later;
        seen.update(&walker(0.5), &NOISE);
        assert!(seen.x.var_at < later.x.var_at && seen.w.var < later.w.var);
    }

    #[test]
    fn velocity_settles() {
        let velocity = settled(60).velocity();
        assert!((velocity.x - 0.1).abs() < 0.002 && velocity.y.abs() < 0.002, "{velocity:?}");
    }
}
