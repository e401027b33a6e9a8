//! What the page-table engine accepts and refuses.

mod tables;
