# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests/run is made of: isolation, stasis as a tool, and one module per kind of test."""
