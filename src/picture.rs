//! Pictures for people: annotated frames and heat maps.
