//! The cmdlets, by family.

pub mod content;
pub mod copy;
pub mod general;
pub mod items;
pub mod make;
pub mod properties;
pub mod service_control;
pub mod services;
pub mod sql;
pub mod wmi;
pub mod wmi_classes;
pub mod wql;
pub mod write;

use super::cmdlet::Cmdlet;

/// Every cmdlet that the lab's Windows hosts know.
pub const ALL: &[&[Cmdlet]] = &[
    services::CMDLETS,
    service_control::CMDLETS,
    wmi::CMDLETS,
    items::CMDLETS,
    make::CMDLETS,
    copy::CMDLETS,
    content::CMDLETS,
    properties::CMDLETS,
    general::CMDLETS,
    write::CMDLETS,
    sql::ALL,
];
