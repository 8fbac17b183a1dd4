//! Feeds frames. 
fn main() {}
