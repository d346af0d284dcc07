"""Other containers for the packets of a .grit file: Ogg, Matroska, RTP. Pure bytes; no torch, no audio, no model.

docs/ogg.md, docs/matroska.md and docs/rtp.md say the layouts exactly. Each module takes and gives *bare* items
(docs/bitstream.md, "Packets without a check"); `bare` takes the check off an item of a file and puts it on again,
`remux` makes files of one kind out of files of another.
"""
