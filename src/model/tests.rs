//! What every model that ships is held to: the same bits however items come, and nothing but what
//! the list of models says.
