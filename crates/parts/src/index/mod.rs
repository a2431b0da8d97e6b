//! The index of a part: where in it an id, an entity, a type or a moment is.
