"""Image trunks and their necks: `hiera` + `fpn` (SAM 2), `vit` (SAM), `tiny_vit` (MobileSAM)."""
