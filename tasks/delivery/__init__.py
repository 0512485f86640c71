"""Delivery of films as packages for editors, players and streaming services."""

from tasks.delivery.packages import PackagesReport, deliver_packages

__all__ = ["PackagesReport", "deliver_packages"]
