"""Annotations of one image, with two objects, as ImageNet and COCO have them."""

from pathlib import Path

XML = """<annotation><size><width>60</width><height>40</height></size>
<object><name>n01</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object>
<object><name>n02</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>5</xmax><ymax>40</ymax></bndbox></object>
</annotation>"""
COCO = {
    "images": [{"id": 7, "file_name": "n01/one.jpg", "width": 60, "height": 40}],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": [20, 10, 20, 20]},
        {"image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 40]},
    ],
    "categories": [{"id": 1, "name": "n01"}, {"id": 2, "name": "n02"}],
}
CROP = (40, 60, 4, 14, 36, 46)  # a box of 32 x 32 pixels, seen as 24 x 24
PATH = Path("n01/one.jpg")
