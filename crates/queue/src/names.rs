//! Names that leases refer to by number.

/// Bytes of a name at most.
pub const LENGTH: usize = 60;
/// Names that can be in use at once.
const CAPACITY: usize = 512;

#[derive(Clone, Copy, Debug)]
struct Name {
    bytes: [u8; LENGTH],
    length: u8,
    uses: u32,
}

/// A table of names, each as long as something uses it.
#[derive(Clone, Copy, Debug)]
pub struct Names([Name; CAPACITY]);

impl Default for Names {
    fn default() -> Self {
        Self([Name { bytes: [0; LENGTH], length: 0, uses: 0 }; CAPACITY])
    }
}

impl Names {
    /// The number of a name, which it has until its last use is released. `None` where too many names are in use, or it
    /// is too long.
    pub fn number(&mut self, name: &str) -> Option<u16> {
        if name.len() > LENGTH {
            return None;
        }
        let known = self.0.iter().position(|known| known.uses > 0 && known.text() == name);
        let index = known.or_else(|| self.0.iter().position(|known| known.uses == 0))?;
        if known.is_none() {
            let entry = &mut self.0[index];
            entry.bytes[..name.len()].copy_from_slice(name.as_bytes());
            entry.length = name.len() as u8;
        }
        Some(index as u16)
    }

    /// Whether a number stands for this name.
    #[must_use]
    pub fn is(&self, number: u16, name: &str) -> bool {
        self.text(number) == name
    }

    /// The name that a number stands for.
    #[must_use]
    pub fn text(&self, number: u16) -> &str {
        self.0.get(usize::from(number)).map_or("", Name::text)
    }

    /// Something refers to the number.
    pub fn hold(&mut self, number: u16) {
        self.0[usize::from(number)].uses += 1;
    }

    /// Something refers to it no more.
    pub fn release(&mut self, number: u16) {
        let uses = &mut self.0[usize::from(number)].uses;
        *uses = uses.saturating_sub(1);
    }
}

impl Name {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_as_long_as_it_is_used() {
        let mut names = Names::default();
        let first = names.number("a");
        assert_eq!(first, names.number("a"));
        names.hold(0);
        assert_eq!(names.number("b"), Some(1));
        assert!(names.is(0, "a") && names.text(0) == "a");
        names.release(0);
        assert_eq!(names.number("c"), Some(0));
    }

    #[test]
    fn too_many_and_too_long_names_have_none() {
        let mut names = Names::default();
        assert_eq!(names.number(&"x".repeat(LENGTH + 1)), None);
        for index in 0..CAPACITY {
            assert_eq!(names.number(&index.to_string()), Some(index as u16));
            names.hold(index as u16);
        }
        assert_eq!(names.number("one more"), None);
        assert_eq!(names.number("7"), Some(7));
    }
}
